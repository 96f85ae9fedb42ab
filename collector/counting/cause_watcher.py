# SPDX-License-Identifier: Apache-2.0
"""Finds the causes of exits in which KVM_RUN failed over a fault, and counts exits by them.

Records say how each exit failed, and one look at a VM serves all of a reading. Counts are exact also where
records were lost: such exits have the cause of the newest record that failed in the same way.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from collector.counting import decoder
from collector.counting.backing import PAGE
from collector.counting.causes import Failure, Found, Slot, diagnose
from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.errors import ProbeError
from collector.probe.layout import FORMATS, NOT_SHOWN, NOT_SHOWN_32, ExitKey, ExitRecord, VmKey
from collector.probe.looks import LookedMemslot, Looks
from collector.probe.mappings import Mapping as HostMapping
from collector.probe.mappings import Mappings
from faultmodel.arch.base import Architecture
from faultmodel.causes import Cause, Unseen
from faultmodel.record import DETAIL_LENGTH, KVM_EXIT_MEMORY_FAULT, Access, exit_kind
from faultmodel.record_stalls import CauseCount

_MOST_VMS = 16
"""That are looked at in one reading. A look takes up to a millisecond."""
_MOST_WAYS = 256
"""In which exits of one VM fail, of which the causes are found in one reading."""
_MOST_WAITING = 4096
"""Records of one vCPU's exits whose counts the next reading has."""
_ARM64 = "esr_el2"
_GUEST_PHYSICAL = frozenset({"ept", "npf", _ARM64})
"""Formats of words that come with a guest-physical address."""
_FAULT_STATUS = 0x3F
"""arm64: ESR_EL2.FSC."""


class _Way(NamedTuple):
    """In which exits fail alike. ``page``: of the guest-physical address, None where it is not shown."""

    reason: int
    errno: int
    page: int | None
    access: Access | None
    fault_status: int | None
    flags: int | None
    slot: Slot | None


@dataclass(slots=True)
class _Counted:
    """Exits of one vCPU with one cause: when the first and the last were, UTC ns."""

    count: int
    first_ns: int
    last_ns: int
    evidence: Any


@dataclass(slots=True)
class _Known:
    """Of exits of one vCPU that failed with one reason and errno: records that are not counted yet, and the
    newest."""

    waiting: deque[tuple[int, Found]] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))
    newest: Found | None = None


def without_causes(
    reading: Reading, architecture: Architecture, ids: Mapping[VmKey, str]
) -> Mapping[str, Sequence[Any]]:
    """Return the sections ``causes`` and ``exits`` while nobody looks: that is then said of each exit."""
    evidence = {"not_seen": [Unseen.NOT_LOADED]}
    rows: dict[tuple[str, int, Cause], _Counted] = {}
    for key, count in reading.exit_counts.items():
        vm = ids.get(VmKey(key.kvm, key.instance))
        if vm is not None and exit_kind(key.reason, key.errno) is not None:
            at_ns = reading.to_ns - 1
            _add(rows, (vm, key.vcpu, Cause.UNKNOWN), _Counted(count, at_ns, at_ns, evidence))
    exits = decoder.exits(reading, architecture, ids, dict.fromkeys(reading.exits, Cause.UNKNOWN))
    return {"exits": exits, "causes": _cause_counts(rows)}


class CauseWatcher:
    """Ships exits with their causes, and counts of them by cause. For one thread."""

    name = "causes"

    def __init__(
        self,
        looks: Looks,
        states: VmStates,
        mappings: Mappings | None,
        architecture: Architecture,
        seen_before: Callable[[VmKey, Collection[int]], Sequence[HostMapping] | None],
    ) -> None:
        """:param mappings: None if the kernel does not show them; then few causes are found

        :param seen_before: returns what a VM had mapped at memslots of these addresses, when it was looked
            at for another reason
        """
        self._looks = looks
        self._states = states
        self._mappings = mappings
        self._architecture = architecture
        self._seen_before = seen_before
        self._seen: dict[VmKey, tuple[frozenset[int], Sequence[HostMapping]]] = {}
        """What VMs had mapped at which addresses when an exit of theirs was looked at last."""
        self._known: dict[ExitKey, _Known] = {}

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return the sections ``causes`` and ``exits``. :raises ProbeError: the kernel refuses"""
        causes: dict[ExitRecord, Cause] = {}
        for record, found in self._found(reading, ids):
            causes[record] = found[0]
            key = ExitKey(record.kvm, record.instance, record.vcpu, record.reason, record.errno)
            known = self._known.setdefault(key, _Known())
            known.waiting.append((reading.clock.monotonic_to_utc_ns(record.monotonic_ns), found))
            known.newest = found
        rows: dict[tuple[str, int, Cause], _Counted] = {}
        for key, count in reading.exit_counts.items():
            vm = VmKey(key.kvm, key.instance)
            if exit_kind(key.reason, key.errno) is None or vm not in ids:
                continue
            for time_ns, (cause, evidence), exits in self._counted(key, count, reading.to_ns):
                _add(rows, (ids[vm], key.vcpu, cause), _Counted(exits, time_ns, time_ns, evidence))
        return {
            "exits": decoder.exits(reading, self._architecture, ids, causes),
            "causes": _cause_counts(rows),
        }

    def lacking(self) -> str:
        """Return what the newest rows lack: evidence says it of each cause."""
        return ""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""
        gone = frozenset(vms)
        self._known = {
            key: known for key, known in self._known.items() if VmKey(key.kvm, key.instance) not in gone
        }
        for vm in gone:
            self._seen.pop(vm, None)

    def _counted(self, key: ExitKey, count: int, now_ns: int) -> list[tuple[int, Found, int]]:
        """Return when exits were, their cause, and how many: ``count`` of one vCPU, reason and errno."""
        known = self._known.setdefault(key, _Known())
        waiting = known.waiting
        # A record that comes with its reading may be of an exit that the next reading counts.
        found = [(*waiting.popleft(), 1) for _ in range(min(count, len(waiting)))]
        if (left := count - len(found)) > 0:
            cause = known.newest or (Cause.UNKNOWN, {"not_seen": [Unseen.RECORD_LOST]})
            found.append((found[-1][0] if found else now_ns - 1, cause, left))
        return found

    def _found(self, reading: Reading, ids: Mapping[VmKey, str]) -> list[tuple[ExitRecord, Found]]:
        """Return each record with its cause."""
        by_vm: dict[VmKey, list[ExitRecord]] = {}
        for record in reading.exits:
            vm = VmKey(record.kvm, record.instance)
            if vm in ids and exit_kind(record.reason, record.errno) is not None:
                by_vm.setdefault(vm, []).append(record)
        found: list[tuple[ExitRecord, Found]] = []
        for number, (vm, records) in enumerate(by_vm.items()):
            ways = {record: self._way(record) for record in records}
            if number >= _MOST_VMS:
                found += [
                    (record, (Cause.UNKNOWN, {"not_seen": [Unseen.TOO_MANY_VMS]})) for record in records
                ]
                continue
            causes = self._causes(reading, ids, vm, list(dict.fromkeys(ways.values())))
            none: Found = (Cause.UNKNOWN, {"not_seen": [Unseen.TOO_MANY_ADDRESSES]})
            found += [(record, causes.get(ways[record], none)) for record in records]
        return found

    def _causes(
        self, reading: Reading, ids: Mapping[VmKey, str], vm: VmKey, ways: Sequence[_Way]
    ) -> Mapping[_Way, Found]:
        memslots = self._memslots(vm) if any(way.page is not None for way in ways) else ()
        placed = {way: _slot_of(way, memslots) for way in ways[:_MOST_WAYS]}
        mappings, why = self._mappings_of(reading, ids, vm, [slot for slot in placed.values() if slot])
        found = {}
        for way, slot in placed.items():
            has_no_slot = slot is None and way.page is not None and memslots is not None
            unseen = []
            if slot is None and not has_no_slot:
                unseen.append(Unseen.MEMSLOT if memslots is not None else Unseen.MEMSLOTS)
            if slot is not None and why is not None:
                unseen.append(why)
            found[way] = diagnose(
                Failure(
                    reason=way.reason,
                    errno=way.errno,
                    gpa=None if way.page is None else way.page * PAGE,
                    access=way.access,
                    fault_status=way.fault_status,
                    exit_flags=way.flags,
                    slot=slot,
                    has_no_slot=has_no_slot,
                    mappings=mappings,
                    unseen=tuple(unseen),
                )
            )
        return found

    def _memslots(self, vm: VmKey) -> Sequence[LookedMemslot] | None:
        """Return a VM's memslots; None where the kernel does not show them, or it has ended."""
        if not self._looks.shows_memslots:
            return None
        try:
            return self._looks.memslots(vm, 0)
        except ProbeError:
            return None

    def _mappings_of(
        self, reading: Reading, ids: Mapping[VmKey, str], vm: VmKey, slots: Sequence[Slot]
    ) -> tuple[Sequence[HostMapping] | None, Unseen | None]:
        """Return what the VMM has mapped in these memslots; None where that is not known.

        :return: also, why it is not what is mapped now; None where it is
        """
        if self._mappings is None:
            return None, Unseen.MAPPINGS
        state = self._states.at(reading, ids).get(vm)
        found = None
        if state is not None and slots:
            ranges = [(slot.host_address, slot.host_address + slot.size) for slot in slots]
            found = self._mappings.of(reading.vms[vm].tgid, state.mm, ranges)
        addresses = frozenset(slot.host_address for slot in slots)
        if found is not None:
            self._seen[vm] = addresses, found
            return found, None
        known, before = self._seen.get(vm, (frozenset(), None))
        if before is None or not addresses <= known:
            before = self._seen_before(vm, addresses)
        return before, Unseen.PROCESS_ENDED if before is None else Unseen.PROCESS_ENDED_SINCE

    def _way(self, record: ExitRecord) -> _Way:
        form = FORMATS[record.format] if record.format else None
        gpa = _gpa_of(record, form)
        return _Way(
            reason=record.reason,
            errno=record.errno,
            page=None if gpa is None else gpa // PAGE,
            access=None if form is None else self._architecture.formats[form].access(record.word),
            fault_status=record.word & _FAULT_STATUS if form == _ARM64 else None,
            flags=record.flags if record.reason == KVM_EXIT_MEMORY_FAULT else None,
            slot=_slot(record),
        )


def _gpa_of(record: ExitRecord, form: str | None) -> int | None:
    """Return where in the VM's memory it was; None where that is not shown, or is a nested guest's."""
    if record.reason == KVM_EXIT_MEMORY_FAULT:
        return record.gpa
    if form in _GUEST_PHYSICAL and record.nested != 1:
        return record.ipa if form == _ARM64 else record.address
    return None


def _slot(record: ExitRecord) -> Slot | None:
    """Return the memslot that KVM looked up last before an exit."""
    if record.slot == NOT_SHOWN_32:
        return None
    return Slot(
        slot=record.slot,
        gpa=record.slot_gfn * PAGE,
        size=record.slot_pages * PAGE,
        host_address=record.slot_address,
        flags=record.slot_flags,
        memfd_bytes=None if record.memfd_bytes == NOT_SHOWN else record.memfd_bytes,
        memfd_offset=record.memfd_page * PAGE,
    )


def _slot_of(way: _Way, memslots: Sequence[LookedMemslot] | None) -> Slot | None:
    """Return the memslot of an exit; None where none has its address, or none is known."""
    if way.page is None:
        return way.slot
    gpa = way.page * PAGE
    if way.slot is not None and way.slot.gpa <= gpa < way.slot.gpa + way.slot.size:
        return way.slot
    for one in memslots or ():
        if one.base_gfn <= way.page < one.base_gfn + one.pages:
            size = one.pages * PAGE
            # Its guest_memfd was not looked at; it is open until that is seen otherwise.
            return Slot(one.slot, one.base_gfn * PAGE, size, one.host_address, one.flags, size)
    return None


def _add(rows: dict[tuple[str, int, Cause], _Counted], key: tuple[str, int, Cause], more: _Counted) -> None:
    one = rows.get(key)
    if one is None:
        rows[key] = more
        return
    one.count += more.count
    one.first_ns = min(one.first_ns, more.first_ns)
    if more.last_ns >= one.last_ns:
        one.last_ns, one.evidence = more.last_ns, more.evidence


def _cause_counts(rows: Mapping[tuple[str, int, Cause], _Counted]) -> Sequence[CauseCount]:
    return [
        CauseCount(
            time_ns=one.last_ns,
            span_ns=one.last_ns - one.first_ns,
            vm=vm,
            vcpu=vcpu,
            cause=cause,
            count=one.count,
            evidence=_text(one.evidence),
        )
        for (vm, vcpu, cause), one in rows.items()
    ]


def _text(evidence: Any) -> str:  # noqa: ANN401 - JSON's
    text = msgspec.json.encode(evidence).decode()
    # Of what is too long, that much is said.
    return text if len(text) <= DETAIL_LENGTH else '{"left_out":"what was found is too long"}'
