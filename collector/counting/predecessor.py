# SPDX-License-Identifier: Apache-2.0
"""Takes over the set that an earlier collector left counting: no fault is lost, none counted twice.

A killed collector leaves its pinned programs counting. A ``Predecessor`` holds that set until this collector
reads it on, replaces it by programs of its own, or ends:

              open: this data directory's own set
              adopt: a set whose data directory is gone
    (none) ──────────────────────────────────────────▶ held
      ▲                                                 │ │
      │  go_on: it is this version's, counting, and of  │ │
      ├──────── this host: it becomes the collector's ──┘ │  begin: new programs count from the moment at
      │                                                   │         which these end
      │                                                   │  stop: nothing counts in their place
      │                                                   ▼
      │  drain: it is read a last time, and removed     ended ◀─┐  drain failed: the next try begins with
      ├─────────────────────────────────────────────────┘  └────┘  begin or stop
      │
      │  from held or ended:
      │  give_up: it can never be read on; it is removed, and an event says so
      └  abandon: the collector ends; it is removed, or left to a successor

``held`` may be a set of another version or under another name: it is read by its own layout, and drained.
What the kernel refuses to open now stays as it is, and counts on. Of several sets whose data directories are
gone the newest is adopted, and the others are removed unread, with an event.
"""

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from collector.counting.notes import note
from collector.counting.other_sets import OtherSets
from collector.counting.pins import Pins
from collector.errors import PinnedError
from collector.probe import renamed
from collector.probe.handles import Handles
from collector.probe.instant import Instant
from collector.probe.probes import Probes
from collector.probe.snapshot import Checkpoint
from collector.probe.source import Source
from collector.spool.queue import Spool
from faultmodel.kinds import EventKind, EventReason
from faultmodel.record import EventFacts, HostEvent

logger = logging.getLogger(__name__)


class ReadLast(Protocol):
    """Reads a set a last time and stores that."""

    def __call__(self, probes: Probes, *, until: Instant, is_covered: bool, is_anew: bool) -> None:
        """Read it.

        :param until: when it stopped
        :param is_covered: whether it counted during all of the time until then
        :param is_anew: whether its counts are reported as those of a new counting, from the last batch on
        """


@dataclass(frozen=True, slots=True)
class Ended:
    """How a predecessor ended. ``until``, ``is_covered``: see ``ReadLast``.

    ``event``: what is reported once it is read.
    """

    until: Instant
    is_covered: bool
    event: HostEvent | None


class Predecessor:
    """The set that was left counting, and the events to report about it. For one thread."""

    def __init__(self, pins: Pins, host: str) -> None:
        """:param host: this host's name"""
        self._pins = pins
        self._host = host
        self._probes: Probes | None = None
        self._renamed_from = ""
        self._notes: list[HostEvent] = []

    @property
    def is_held(self) -> bool:
        """Whether there is such a set."""
        return self._probes is not None

    @property
    def handles(self) -> Handles | None:
        """The set's file descriptors, which new programs need to take over from it."""
        return None if self._probes is None else self._probes.handles

    def open(self, spool: Spool) -> None:
        """Hold the set of this data directory, and finish the reading that its collector was killed in.

        :raises ProbeError: the kernel refuses; the set is not changed
        """
        host = self._pins.host_of_predecessor()
        probes = self._pins.open()
        if probes is None:
            return
        with ExitStack() as undo:
            undo.callback(self._pins.release)
            undo.enter_context(closing(probes))
            checkpoint = probes.last_checkpoint()
            unfinished = spool.resume(checkpoint.batch)
            if unfinished is not None:
                number, content = unfinished
                newer = _decoded(content)
                if newer is None or newer.counting != checkpoint.counting or not probes.can_commit(newer):
                    # Read on, it would count again what that batch has.
                    self._pins.give_up("its newest checkpoint cannot be read")
                    return
                probes.commit(replace(newer, batch=number))
            undo.pop_all()
        self._hold(probes, host)

    def adopt(self, others: OtherSets, newest_batch: int) -> None:
        """Hold the newest of the lost sets, if no set is held yet; remove the other lost sets.

        :param newest_batch: number of this collector's newest batch
        :raises ProbeError: the set cannot be taken over now
        """
        if self._probes is None and others.lost:
            *older, newest = others.lost
            probes = self._pins.adopt(newest, newest_batch)
            if probes is not None:
                others = replace(others, lost=older)
                self._hold(probes, newest.owner.host if newest.owner else "")
                self._notes.append(note(EventKind.TAKEN_OVER, EventReason.ADOPTED))
        self._notes += [
            note(EventKind.REPLACED, EventReason.UNREAD, facts=facts) for facts in others.remove_lost()
        ]

    def go_on(self, source: Source) -> Probes | None:
        """Return the set if it can be read on as it is; None if new programs must replace it."""
        probes = self._probes
        if probes is None or self._renamed_from or not (probes.is_of(source) and probes.is_counting()):
            return None
        self._probes = None
        self._pins.say_whose()
        if all(event.kind is not EventKind.TAKEN_OVER for event in self._notes):
            self._notes.append(note(EventKind.TAKEN_OVER, EventReason.COLLECTOR_AWAY))
        return probes

    def begin(self, probes: Probes, source: Source) -> Ended:
        """Start the new programs at the moment at which the held ones stop. Call ``drain`` next."""
        is_covered = self._probes is not None and self._probes.is_counting()
        until = probes.begin(source, predecessor=self._probes)
        return Ended(until, is_covered, self._why_replaced(is_covered=is_covered))

    def stop(self) -> Ended:
        """Let what was left count no more, where no guest can run: ``drain`` it then."""
        assert self._probes is not None
        # Another collector may have stopped it before, when guests ran.
        is_covered = self._probes.is_counting()
        return Ended(self._probes.pause(), is_covered, event=None)

    def drain(self, ended: Ended, read_last: ReadLast) -> None:
        """Read what was left a last time, and remove it; give it up where it can never be read.

        :param ended: as ``begin`` or ``stop`` returned it
        :raises ProbeError: it cannot be read now; it can be tried again
        """
        if self._probes is None:
            return
        try:
            read_last(
                self._probes,
                until=ended.until,
                is_covered=ended.is_covered,
                is_anew=bool(self._renamed_from),
            )
        except PinnedError as exc:
            self.give_up(str(exc))
            return
        self._pins.remove()
        self._release()
        if ended.event is not None:
            self._notes.append(ended.event)

    def give_up(self, reason: str) -> None:
        """Remove a set that can never be read on, also one that ``go_on`` handed out. An event says why."""
        self._pins.give_up(reason)
        self._release()
        self._notes = [event for event in self._notes if event.kind is not EventKind.TAKEN_OVER]

    def abandon(self, *, is_for_successor: bool) -> None:
        """Release the held set when the collector ends. It is removed unless a successor is to read it."""
        if self._probes is None:
            return
        if not is_for_successor:
            self._pins.remove()
        self._release()

    def notes(self) -> list[HostEvent]:
        """Return the events that were not sent yet."""
        if given_up := self._pins.take_reason():
            self._notes.append(note(EventKind.REPLACED, EventReason.UNREADABLE, given_up))
        return self._notes

    def forget_notes(self) -> None:
        """Forget the events: they are sent."""
        self._notes = []

    def _why_replaced(self, *, is_covered: bool) -> HostEvent:
        if self._renamed_from:
            facts = EventFacts(former_host=self._renamed_from)
            return note(EventKind.REPLACED, EventReason.RENAMED, facts=facts)
        reason = EventReason.OTHER_VERSION if is_covered else EventReason.PAUSED
        return note(EventKind.REPLACED, reason)

    def _hold(self, probes: Probes, host: str) -> None:
        self._probes = probes
        self._renamed_from = host if host != self._host else ""

    def _release(self) -> None:
        if self._probes is not None:
            self._probes.close()
        self._probes = None
        self._renamed_from = ""


def _decoded(content: bytes) -> Checkpoint | None:
    try:
        found = msgspec.msgpack.decode(content, type=Checkpoint)
    except msgspec.DecodeError:
        return None
    return replace(found, tables={renamed.map_name(name): table for name, table in found.tables.items()})
