# SPDX-License-Identifier: Apache-2.0
"""Rollup: sums the counts of a level up to those of the next coarser one.

What is appended to a level notes which buckets of the next one are out of date (``pending``), in its own
transaction. This takes such a bucket, removes its rows and sums them anew from the level below; that makes
the bucket of the level above out of date in turn. So it does not matter how often a bucket is summed, in
which order its counts came, or how late: a crash leaves it either pending or done. Readers take pending
buckets from the level below meanwhile (``contract.levels``).

Of many VMs, a bucket is summed for some at a time, each in a transaction of its own: it stays pending
meanwhile, with a note of how far it is, and whatever is appended to it has it begun anew.

A host's row is locked, as by whoever appends counts of it: none comes between reading and noting.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    select,
)
from sqlalchemy.engine import Row

from backend.store.contract.levels import LENGTHS_S, Range, whole_buckets
from backend.store.sql.series.measures import lived_within
from backend.store.sql.series.pending import add_pending, remove_pending, set_part
from backend.store.sql.series.summing import Summing, bounds_of
from backend.store.sql.sums import MOST as MOST_NUMBER
from backend.store.sql.tables import hosts, rollup_pending, vms
from backend.store.sql.writer import Writer
from faultmodel.units import NS_PER_S

_QUIET_S = 5
"""So long after its end a bucket is summed: until then its newest counts are on their way."""
_AT_IT_S = 15
"""A host that handed in something so lately is taken to go on."""
_WITHIN_S = 0.04
"""Of one transaction, about: others wait to write meanwhile."""
_SHORT_S, _LONG_S = 0.005, 0.02
"""Of what is summed at once, beyond what the least takes: after less there is more of it, after more less."""
_LEAST_S = 0.04
"""Where the least takes longer, it may be what these VMs count: then fewer are tried, down to one."""
_MOST_BUCKETS = 4096
FIRST_VMS, MOST_VMS = 32, 4096
"""Of a bucket, so many VMs are summed at once: at first, and at most."""
_AGAIN_S = 600
"""A bucket that could not be summed is tried again so much later."""

_is_due = rollup_pending.c.from_s + rollup_pending.c.length_s <= bindparam("by")
_hosts = select(rollup_pending.c.host_id).where(_is_due).distinct().order_by(rollup_pending.c.host_id)
_pending_of = select(rollup_pending).where(rollup_pending.c.host_id == bindparam("host"))
_host = select(hosts.c.covered_to_ns, hosts.c.last_batch_ns).where(hosts.c.id == bindparam("host"))
_lock = _host.with_for_update()
_lock_if_free = _host.with_for_update(skip_locked=True)
_vms_in_order = (
    select(vms.c.id)
    .where(vms.c.host_id == bindparam("host"), vms.c.id > bindparam("after"), *lived_within())
    .order_by(vms.c.id)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Buckets to be summed, for the VMs with greater numbers than ``after_vm``."""

    host: int
    length_s: int
    span: Range
    after_vm: int


SumUp = Callable[[Writer, Summing], None]
"""Replaces these buckets by what they are now, in the catalog's transaction, which has the host locked."""


class Rollup:
    """Sums what is due: hosts in turn, and of each the coarsest level that it can. Of one thread."""

    def __init__(self, sum_up: SumUp, *, pace: int = 1) -> None:
        """Take what sums. ``pace``: so many times as long as a statement of SQL takes each of its own."""
        self._sum_up = sum_up
        self._pace = pace
        self._host = 0
        """The last one that was summed."""
        self._buckets = 1
        self._vms = FIRST_VMS
        self._least_s = 0.0
        """What one bucket of few VMs took lately: to sum less at once would save none of it."""
        self._piece: _Piece | None = None
        """What is being summed."""
        self._failed: dict[tuple[int, int, Range], tuple[float, str]] = {}
        """By host, level and bucket: when it is tried again, and why it failed."""
        self._suspected: dict[tuple[int, int, Range], float] = {}
        """By host, level and several buckets, one of which failed: until when they are summed one by one."""

    def roll_up(self, writer: Writer, now_s: int) -> bool:
        """Sum what is due, for some 40 ms, and return whether there may be more.

        :param now_s: UTC; buckets of which counts may still be on their way are left
        """
        end_s = time.monotonic() + _WITHIN_S * self._pace
        by_s = now_s - _QUIET_S
        waiting = self._in_turn(writer.connection, by_s)
        locked: set[int] = set()
        is_left = False
        while waiting:
            host = waiting.pop(0)
            row = _lock_host(writer.connection, host, locked)
            if row is None:
                # Whose host is locked by another is summed the next time.
                is_left = True
                continue
            locked.add(host)
            piece = self._next(writer.connection, host, by_s, _filled_to_s(row, now_s))
            if piece is None:
                continue
            self._piece, self._host = piece, host
            began_s = time.monotonic()
            vms, is_whole = self._sum(writer, piece)
            buckets = (piece.span.to_s - piece.span.from_s) // piece.length_s
            self._adapt(time.monotonic() - began_s, buckets=buckets, vms=vms, is_whole=is_whole)
            self._piece = None
            waiting.append(host)
            if time.monotonic() >= end_s:
                break
        return bool(waiting) or is_left

    def note_failure(self, error: str) -> None:
        """Have what was being summed, if anything was, not be tried first the next time."""
        piece, self._piece = self._piece, None
        if piece is None:
            return
        self._buckets = 1
        again_s = time.monotonic() + _AGAIN_S
        key = piece.host, piece.length_s, piece.span
        if piece.span.to_s - piece.span.from_s == piece.length_s:
            self._failed[key] = again_s, error
        else:
            # Which it was is not known. All that was summed in this transaction is undone: if the next were
            # the same again, nothing would ever be done.
            self._suspected[key] = again_s

    @property
    def failure(self) -> str:
        """Why a bucket is not summed; empty where none failed."""
        return next((error for _, error in self._failed.values()), "")

    def _in_turn(self, connection: Connection, by_s: int) -> list[int]:
        """Return the hosts of which something is due, from the one after the last on."""
        found = list(connection.scalars(_hosts, {"by": by_s}))
        return [
            *(host for host in found if host > self._host),
            *(host for host in found if host <= self._host),
        ]

    def _next(self, connection: Connection, host: int, by_s: int, filled_to_s: int) -> _Piece | None:
        """Return what is summed next of a host: the newest of the coarsest level whose finer one is ready.

        :param filled_to_s: a level's newest bucket is left for now if it ends later
        """
        rows = connection.execute(_pending_of, {"host": host}).all()
        for length_s in reversed(LENGTHS_S[1:]):
            not_ready = [Range(row.from_s, row.to_s) for row in rows if row.length_s < length_s]
            not_ready += self._not_tried(host, length_s)
            of_level = sorted((row for row in rows if row.length_s == length_s), key=lambda row: -row.from_s)
            for row in of_level:
                is_filled = row is not of_level[0] or row.to_s <= filled_to_s
                to_s = row.to_s if is_filled else row.to_s - length_s
                ended = Range(row.from_s, min(to_s, by_s // length_s * length_s))
                ready = list(_without(ended, sorted(whole_buckets(not_ready, length_s))))
                if not ready:
                    continue
                if row.part_s is not None and any(one.from_s <= row.part_s < one.to_s for one in ready):
                    return _Piece(host, length_s, Range(row.part_s, row.part_s + length_s), row.after_vm)
                newest = ready[-1]
                from_s = max(newest.from_s, newest.to_s - self._buckets * length_s)
                if self._is_suspected(host, length_s, Range(from_s, newest.to_s)):
                    from_s = newest.to_s - length_s
                return _Piece(host, length_s, Range(from_s, newest.to_s), 0)
        return None

    def _not_tried(self, host: int, length_s: int) -> Sequence[Range]:
        now_s = time.monotonic()
        for key in [key for key, (again_s, _) in self._failed.items() if again_s < now_s]:
            del self._failed[key]
        return [span for of_host, length, span in self._failed if (of_host, length) == (host, length_s)]

    def _is_suspected(self, host: int, length_s: int, span: Range) -> bool:
        now_s = time.monotonic()
        for key in [key for key, until_s in self._suspected.items() if until_s < now_s]:
            del self._suspected[key]
        return any(
            (of_host, length) == (host, length_s) and of.from_s < span.to_s and of.to_s > span.from_s
            for of_host, length, of in self._suspected
        )

    def _sum(self, writer: Writer, piece: _Piece) -> tuple[int, bool]:
        """Sum buckets for as many VMs as at once; return how many these were, and whether that was all."""
        connection = writer.connection
        span, length_s = piece.span, piece.length_s
        asked = {**bounds_of(piece.host, span), "after": piece.after_vm, "most": self._vms + 1}
        found = list(connection.scalars(_vms_in_order, asked))
        if is_whole := len(found) <= self._vms:
            last = MOST_NUMBER
        else:
            last = found[self._vms - 1]
            span = Range(span.to_s - length_s, span.to_s)
        self._sum_up(writer, Summing(piece.host, length_s, span, piece.after_vm, last, is_whole))
        if is_whole:
            remove_pending(connection, piece.host, length_s, span)
            add_pending(connection, piece.host, length_s, range(span.from_s, span.to_s, length_s))
        else:
            set_part(connection, piece.host, length_s, span.from_s, last)
        return min(len(found), self._vms), is_whole

    def _adapt(self, took_s: float, *, buckets: int, vms: int, is_whole: bool) -> None:
        # Of one bucket of one VM nothing is less, however long it takes.
        if buckets == 1 and vms <= 1:
            self._least_s = took_s
        elif buckets == 1 and vms <= FIRST_VMS:
            self._least_s = min(took_s, max(self._least_s, _LEAST_S * self._pace))
        else:
            self._least_s = min(took_s, self._least_s)
        took_s -= self._least_s
        if took_s < _SHORT_S * self._pace:
            if is_whole:
                self._buckets = min(2 * self._buckets, _MOST_BUCKETS)
            self._vms = min(2 * self._vms, MOST_VMS)
        elif took_s > _LONG_S * self._pace:
            if self._buckets == 1:
                self._vms = max(1, self._vms // 2)
            self._buckets = 1


def is_due(connection: Connection, now_s: int) -> bool:
    """Return whether there is anything to sum."""
    return connection.execute(_hosts.limit(1), {"by": now_s - _QUIET_S}).one_or_none() is not None


def _lock_host(connection: Connection, host: int, locked: set[int]) -> Row[Any, Any] | None:
    """Lock a host, and return its times if it is. Nobody is waited for while another host is locked."""
    lock = _lock_if_free if locked - {host} else _lock
    return connection.execute(lock, {"host": host}).one_or_none()


def _filled_to_s(host: Row[Any, Any], now_s: int) -> int:
    """Return up to when a host has handed in what it has, s; a late time where it hands in nothing now.

    What gathered in an outage comes a second after the other: the bucket that it is at would be summed anew
    with every run.
    """
    is_at_it = now_s - _AT_IT_S <= host.last_batch_ns // NS_PER_S <= now_s
    return host.covered_to_ns // NS_PER_S if is_at_it and host.covered_to_ns is not None else MOST_NUMBER


def _without(span: Range, others: Sequence[Range]) -> Iterator[Range]:
    """Yield what is left of a range, in order. The others are in order, too."""
    at_s = span.from_s
    for one in others:
        if at_s < min(one.from_s, span.to_s):
            yield Range(at_s, min(one.from_s, span.to_s))
        at_s = max(at_s, one.to_s)
    if at_s < span.to_s:
        yield Range(at_s, span.to_s)
