# SPDX-License-Identifier: Apache-2.0
"""How many faults ended between two copies of the maps of stalls, and how long they took."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from collector.counting.differences import Reread, changed_entries, consistent_copy
from collector.probe.layout import OUTCOMES, StallHead, VcpuKey
from collector.probe.snapshot import COUNTED_STALLS, Table
from collector.probe.stall_views import StallViews
from collector.probe.view import Values
from collector.probe.views import VcpuView
from faultmodel.outcomes import Outcome

_PLACE, _IN_MAP = 0xF, 0xF
_OUTCOME_SHIFT, _OUTCOME = 4, 0x1F
_NESTED = 1 << 9
_OCTAVE_SHIFT, _OCTAVE = 10, 0x3F
_LOWEST_OCTAVE = -2
_IN_SLOTS = {"stall_slots": "slots", "stall_overflow": "overflow"}
"""By the map of stalls, the map that has the same vCPUs' words."""


class Stalled(NamedTuple):
    """By what faults that ended are counted. ``format``: indexes ``layout.FORMATS``."""

    kvm: int
    instance: int
    vcpu: int
    word: int
    format: int
    outcome: Outcome
    nested: bool
    octave: int


@dataclass(slots=True)
class Stalls:
    """What was added.

    ``counts``: faults in each quarter of the octave, and the time in ns that they were running, and blocked.
    ``uncounted``: faults that ended and found no room, by vCPU. ``longest_ns``: of those vCPUs of which it is
    known, the longest stall, by what it is counted with.
    """

    counts: dict[Stalled, Values] = field(default_factory=dict)
    uncounted: dict[VcpuKey, int] = field(default_factory=dict)
    longest_ns: dict[Stalled, int] = field(default_factory=dict)
    changed: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    """The entries that have changed, by map."""

    def add(self, key: Stalled, added: Values) -> None:
        """Add to the counts."""
        before = self.counts.get(key)
        self.counts[key] = (
            added if before is None else tuple(one + two for one, two in zip(before, added, strict=True))
        )


def stall_differences(
    now: Mapping[str, Table],
    before: Mapping[str, Table],
    views: StallViews,
    vcpus: VcpuView,
    reread: Reread = lambda _table, _key: None,
) -> Stalls:
    """Return what was added.

    :param now: the maps in ``snapshot.COUNTED_STALLS``, and ``slots`` and ``overflow``, read after those
    :param before: the first of them, earlier; a missing entry was zero
    :param vcpus: how the last of them are read
    :param reread: used for entries that are not consistent. What then is not consistent still, the next
        reading has
    """
    found = Stalls(changed={name: {} for name in COUNTED_STALLS})
    for name, of_words in _IN_SLOTS.items():
        blank = bytes(views.vcpu.size)
        for key, value in now[name].items():
            old = before[name].get(key, blank)
            if value == old:
                continue
            copy = consistent_copy(value, views.vcpu.is_consistent, partial(reread, name, key))
            # A vCPU is in the map of its words before it is in the map of its stalls.
            words = now[of_words].get(key)
            if copy is None or words is None:
                continue
            found.changed[name][key] = copy
            is_renewed = name == "stall_slots"
            _add_vcpu(found, views, partial(vcpus.word, words), copy, old, is_renewed=is_renewed)
    changed = found.changed["stall_counts"] = changed_entries(now["stall_counts"], before["stall_counts"])
    blank = bytes(views.cell.size)
    for key, value in changed.items():
        found_key = views.key.unpack(key)
        _, *values = views.cell.unpack(value)
        _, *old_values = views.cell.unpack(before["stall_counts"].get(key, blank))
        owner = VcpuKey(found_key.kvm, found_key.instance, found_key.vcpu)
        found.add(
            _stalled(owner, found_key.word, found_key.format, found_key.kind),
            tuple(new - was for new, was in zip(values, old_values, strict=True)),
        )
    return found


def _add_vcpu(
    found: Stalls,
    views: StallViews,
    word_at: Callable[[int], tuple[int, int]],
    now: bytes,
    before: bytes,
    *,
    is_renewed: bool,
) -> None:
    """Add one vCPU. :param is_renewed: whether its longest stall is noted anew with each reading"""
    head, was = views.vcpu.head.unpack(now), views.vcpu.head.unpack(before)
    if not _is_of_the_same(head, was):
        before = bytes(views.vcpu.size)
        was = views.vcpu.head.unpack(before)
    owner = VcpuKey(head.kvm, head.instance, head.vcpu_id)
    if head.uncounted > was.uncounted:
        found.uncounted[owner] = found.uncounted.get(owner, 0) + head.uncounted - was.uncounted
    for kind, added in views.vcpu.cells(now, before):
        key = _stalled(owner, *word_at(kind & _PLACE), kind)
        found.add(key, added)
        if kind == head.longest_kind and (is_renewed or head.longest_ns > was.longest_ns):
            found.longest_ns[key] = head.longest_ns


def _stalled(owner: VcpuKey, word: int, number: int, kind: int) -> Stalled:
    """Return by what is counted. :param number: of the word's format"""
    return Stalled(
        *owner,
        word=word,
        format=number,
        outcome=OUTCOMES.get(kind >> _OUTCOME_SHIFT & _OUTCOME, Outcome.UNKNOWN),
        nested=bool(kind & _NESTED),
        octave=(kind >> _OCTAVE_SHIFT & _OCTAVE) + _LOWEST_OCTAVE,
    )


def _is_of_the_same(head: StallHead, was: StallHead) -> bool:
    """Whether both states are of the same vCPU in the same thread. Else the slot has changed its owner."""
    return (head.tid, head.vcpu_id, head.kvm, head.instance) == (was.tid, was.vcpu_id, was.kvm, was.instance)
