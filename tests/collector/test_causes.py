# SPDX-License-Identifier: Apache-2.0
"""The cause of an exit, by what was looked at; and that each exit is counted once, by one cause."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from collector.counting.backing import PAGE
from collector.counting.cause_watcher import CauseWatcher, without_causes
from collector.counting.causes import Failure, Slot, diagnose
from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.probe.layout import FORMATS, NOT_SHOWN, ExitKey, ExitRecord, VmKey, VmRecord
from collector.probe.looks import LookedMemslot, LookedVm
from collector.probe.mappings import Mapping as HostMapping
from faultmodel import arch
from faultmodel.causes import MEANINGS, Cause, Unseen
from faultmodel.record import DETAIL_LENGTH, EFAULT, EHWPOISON, Access
from faultmodel.record_stalls import CauseCount
from tests.collector.readings import make_reading

HOST = 0x7F00_0000_0000
GPA = 1 << 32
SLOT = Slot(slot=3, gpa=GPA, size=16 * PAGE, host_address=HOST, flags=0)
_R, _W, _PFN, _HUGETLB = 1, 2, 0x400, 0x400000
_FILE = 0o100600


def mapping(first: int = 0, pages: int = 16, **fields: Any) -> HostMapping:
    """Return memory that can be read and written, some pages into the memslot."""
    values: dict[str, Any] = {
        "flags": _R | _W,
        "offset": 0,
        "userfaultfd": 0,
        "mode": 0,
        "page_bytes": PAGE,
        "path": "",
    }
    return HostMapping(start=HOST + first * PAGE, end=HOST + (first + pages) * PAGE, **(values | fields))


def file(**fields: Any) -> HostMapping:
    """Return the same of a file that is as long as the memslot."""
    return mapping(**{"mode": _FILE, "path": "/ram", "file_bytes": 16 * PAGE, **fields})


def bare(**fields: Any) -> Failure:
    """Return a bare error exit at the fifth page of the memslot."""
    return Failure(**{"reason": 0, "errno": EFAULT, "gpa": GPA + 5 * PAGE + 8, "slot": SLOT, **fields})


def annotated(**fields: Any) -> Failure:
    """Return a memory-fault exit at the fifth page of a memslot with a guest_memfd."""
    slot = SLOT._replace(flags=4, memfd_bytes=16 * PAGE)
    return bare(**{"reason": 39, "exit_flags": 0, "slot": slot, **fields})


CASES: Mapping[Cause, Sequence[Failure]] = {
    Cause.HWPOISON: [bare(errno=EHWPOISON), annotated(errno=EHWPOISON)],
    Cause.UNSUPPORTED_FAULT_STATUS: [bare(fault_status=0x35), bare(fault_status=0x10)],
    Cause.NO_MEMSLOT: [bare(slot=None, has_no_slot=True), annotated(slot=None, has_no_slot=True)],
    Cause.GUEST_MEMFD_FAILED: [
        annotated(slot=SLOT._replace(flags=4)),
        annotated(),
        annotated(gpa=None),
    ],
    Cause.GUEST_MEMFD_HOLE: [
        annotated(slot=SLOT._replace(flags=4, memfd_bytes=5 * PAGE)),
        annotated(slot=SLOT._replace(flags=4, memfd_bytes=16 * PAGE, memfd_offset=11 * PAGE)),
    ],
    Cause.PRIVATE_SHARED_MISMATCH: [annotated(exit_flags=8), annotated(exit_flags=8, slot=SLOT)],
    Cause.READ_ONLY_MEMSLOT: [
        bare(slot=SLOT._replace(flags=2), access=Access.WRITE, mappings=[mapping()]),
    ],
    Cause.NOT_MAPPED: [
        bare(mappings=[]),
        bare(mappings=[mapping(0, 5), mapping(6, 10)]),
        bare(gpa=None, mappings=[mapping(0, 5), mapping(6, 10)]),
        bare(gpa=None, mappings=[mapping(0, 15)]),
        bare(gpa=None, mappings=[mapping(1, 15)]),
    ],
    Cause.PROT_NONE: [
        bare(mappings=[mapping(0, 5), mapping(5, 1, flags=0), mapping(6, 10)]),
        bare(gpa=None, mappings=[mapping(0, 12), mapping(12, 4, flags=0)]),
        # Whatever else the file has.
        bare(mappings=[file(flags=0, file_bytes=0)]),
    ],
    Cause.FILE_TRUNCATED: [
        bare(mappings=[file(file_bytes=5 * PAGE)]),
        bare(mappings=[file(offset=PAGE, file_bytes=6 * PAGE)]),
        bare(gpa=None, mappings=[file(file_bytes=15 * PAGE)]),
    ],
    Cause.PFN_NOT_WRITABLE: [
        bare(access=Access.WRITE, mappings=[mapping(flags=_R | _W | _PFN)]),
        bare(mappings=[mapping(path="/dev/nvidia0", mode=0o020600)]),
    ],
    Cause.TMPFS_FULL: [
        bare(mappings=[file(limit_blocks=4096, used_blocks=4096)]),
        bare(mappings=[mapping(flags=_R | _W | _HUGETLB, page_bytes=2 << 20)]),
    ],
    Cause.USERFAULTFD_GONE: [bare(mappings=[mapping(userfaultfd=1)])],
    Cause.UNKNOWN: [
        bare(slot=None, gpa=None),
        bare(mappings=None),
        bare(mappings=[mapping()]),
        bare(mappings=[mapping(0, 15), mapping(15, 1, flags=0)]),
        bare(mappings=[file(file_bytes=5 * PAGE + 1)]),
        bare(mappings=[file(limit_blocks=4096, used_blocks=2000)]),
        bare(mappings=[mapping(flags=_R)], access=Access.WRITE),
        bare(access=Access.READ, mappings=[mapping(flags=_R | _W | _PFN)]),
        bare(access=Access.READ, slot=SLOT._replace(flags=2), mappings=[mapping()]),
        bare(fault_status=0x07, mappings=[mapping()]),
        # Which of both it was is not shown.
        bare(gpa=None, mappings=[mapping(0, 12), mapping(13, 3, flags=0)]),
    ],
}


@pytest.fixture(autouse=True)
def no_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.counting.causes._free_huge_pages", lambda _: 0)


@pytest.mark.parametrize(
    ("cause", "failure"), [(cause, one) for cause, failures in CASES.items() for one in failures]
)
def test_the_cause_is_what_was_found(cause: Cause, failure: Failure) -> None:
    found, evidence = diagnose(failure)
    assert found is cause
    assert len(msgspec.json.encode(evidence)) < DETAIL_LENGTH


def test_every_cause_has_a_meaning_and_what_to_do() -> None:
    assert MEANINGS.keys() == set(Cause)
    assert CASES.keys() == set(Cause) - {Cause.EMULATION_ON_PRIVATE}


def test_evidence_has_what_was_looked_at() -> None:
    short = file(file_bytes=3 * PAGE, path="/dev/shm/ram")
    _, evidence = diagnose(bare(access=Access.WRITE, fault_status=0x07, mappings=[short]))
    assert evidence == {
        "gpa": hex(GPA + 5 * PAGE + 8),
        "access": "write",
        "fault_status": "0x7",
        "memslot": 3,
        "memslot_gpa": hex(GPA),
        "memslot_size": 16 * PAGE,
        "host_address": hex(HOST + 5 * PAGE + 8),
        "mapping": hex(HOST),
        "permissions": "rw-p",
        "file": "/dev/shm/ram",
        "file_bytes": 3 * PAGE,
    }


def test_evidence_says_what_was_not_possible_and_what_it_is_by() -> None:
    _, evidence = diagnose(bare(gpa=None, mappings=None, unseen=(Unseen.PROCESS_ENDED,)))
    assert (evidence["not_seen"], evidence["memslot_by"]) == (["process_ended"], "looked_up_last")
    _, evidence = diagnose(bare(gpa=None, mappings=[mapping(0, 12), mapping(13, 3, flags=0)]))
    assert evidence["found"] == ["not_mapped", "prot_none"]
    _, evidence = diagnose(bare(mappings=[mapping(flags=_R)], access=Access.WRITE))
    assert evidence["permissions"] == "r--p"


class Kernel:
    """VMs that have one memslot, of which nothing is mapped, and note what they are asked."""

    shows_memslots = True

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.is_there = True

    def vms(self, vms: Iterable[VmKey]) -> Mapping[VmKey, LookedVm]:
        return {vm: LookedVm(vm.kvm, 1, 0, 0, 0, 0, 1) for vm in vms if self.is_there}

    def memslots(self, _vm: VmKey, _address_space: int) -> Sequence[LookedMemslot]:
        return [LookedMemslot(GPA // PAGE, 16, HOST, 0, 3, 0)]

    def of(self, pid: int, _mm: int, _ranges: Iterable[tuple[int, int]]) -> Sequence[HostMapping]:
        self.asked.append(pid)
        return []


VMS = [VmKey(number, 1) for number in range(1, 31)]
IDS = {vm: f"{vm.kvm:016x}" for vm in VMS}
NPF = next(number for number, name in FORMATS.items() if name == "npf")


def record(at_ns: int, *, vm: VmKey = VMS[0], gpa: int = GPA, **fields: Any) -> ExitRecord:
    """Return a bare error exit at an address."""
    values: dict[str, Any] = {
        **{"flags": 0, "gpa": 0, "size": 0, "word": 2, "address": gpa, "ipa": 0, "pc": NOT_SHOWN},
        **{"vcpu": 0, "reason": 0, "errno": EFAULT, "format": NPF, "nested": 0},
    }
    return ExitRecord(kvm=vm.kvm, instance=vm.instance, monotonic_ns=at_ns, **(values | fields))


def reading(exits: Sequence[ExitRecord], counts: Mapping[VmKey, int], second: int = 0) -> Reading:
    """Return a reading with these records, and how many such exits were counted."""
    return make_reading(
        second,
        vms={vm: VmRecord(0, 0, vm.kvm, "vmm", "") for vm in VMS},
        exit_counts={ExitKey(*vm, 0, 0, EFAULT): count for vm, count in counts.items()},
        exits=exits,
    )


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def watcher(kernel: Kernel) -> CauseWatcher:
    looks: Any = kernel
    return CauseWatcher(looks, VmStates(looks), looks, arch.get("x86_64"), lambda _vm, _addresses: None)


def found(watcher: CauseWatcher, one: Reading) -> Sequence[CauseCount]:
    return watcher.rows(one, IDS)["causes"]


def test_exits_of_a_reading_are_one_row_for_each_cause(watcher: CauseWatcher, kernel: Kernel) -> None:
    exits = [record(5), record(7, gpa=GPA + PAGE), record(9, gpa=GPA - PAGE), record(11)]
    rows = {row.cause: row for row in found(watcher, reading(exits, {VMS[0]: 4}))}
    assert {cause: (row.count, row.time_ns, row.span_ns) for cause, row in rows.items()} == {
        Cause.NOT_MAPPED: (3, 11, 6),
        Cause.NO_MEMSLOT: (1, 9, 0),
    }
    assert json.loads(rows[Cause.NO_MEMSLOT].evidence)["gpa"] == hex(GPA - PAGE)
    assert kernel.asked == [VMS[0].kvm], "one look for all of them"


def test_exits_whose_records_were_lost_have_the_cause_of_the_newest(watcher: CauseWatcher) -> None:
    (row,) = found(watcher, reading([record(5)], {VMS[0]: 1000}))
    assert (row.cause, row.count) == (Cause.NOT_MAPPED, 1000)
    (row,) = found(watcher, reading([], {VMS[0]: 7}, second=1))
    assert (row.cause, row.count, row.time_ns) == (Cause.NOT_MAPPED, 7, 2 * 10**9 - 1)
    (row,) = found(watcher, reading([], {VMS[1]: 7}, second=2))
    assert (row.cause, row.count) == (Cause.UNKNOWN, 7)
    assert json.loads(row.evidence)["not_seen"] == ["record_lost"]


def test_a_record_that_comes_before_its_count_waits_for_it(watcher: CauseWatcher) -> None:
    assert [row.count for row in found(watcher, reading([record(5), record(6)], {VMS[0]: 1}))] == [1]
    (row,) = found(watcher, reading([record(10**9, gpa=0)], {VMS[0]: 1}, second=1))
    assert (row.cause, row.time_ns) == (Cause.NOT_MAPPED, 6)
    (row,) = found(watcher, reading([], {VMS[0]: 1}, second=2))
    assert (row.cause, row.time_ns) == (Cause.NO_MEMSLOT, 10**9)


def test_while_nobody_looks_each_exit_says_so() -> None:
    rows = without_causes(reading([record(5)], {VMS[0]: 1000, VMS[1]: 1}), arch.get("x86_64"), IDS)
    assert [(row.vm, row.cause, row.count) for row in rows["causes"]] == [
        (IDS[VMS[0]], Cause.UNKNOWN, 1000),
        (IDS[VMS[1]], Cause.UNKNOWN, 1),
    ]
    assert {row.evidence for row in rows["causes"]} == {'{"not_seen":["not_loaded"]}'}
    assert [row.cause for row in rows["exits"]] == [Cause.UNKNOWN]


def test_each_exit_has_the_cause_that_was_found(watcher: CauseWatcher) -> None:
    rows = watcher.rows(reading([record(5), record(6, gpa=0)], {VMS[0]: 2}), IDS)
    assert [row.cause for row in rows["exits"]] == [Cause.NOT_MAPPED, Cause.NO_MEMSLOT]


def test_however_many_vms_fail_few_are_looked_at_and_the_others_say_so(
    watcher: CauseWatcher, kernel: Kernel
) -> None:
    rows = found(watcher, reading([record(5, vm=vm) for vm in VMS], dict.fromkeys(VMS, 1)))
    assert len(kernel.asked) == 16
    assert Counter(row.cause for row in rows) == {Cause.NOT_MAPPED: 16, Cause.UNKNOWN: 14}
    assert all(("too_many_vms" in row.evidence) == (row.cause is Cause.UNKNOWN) for row in rows)


def test_of_a_vm_that_has_ended_it_is_said_what_could_not_be_seen(
    watcher: CauseWatcher, kernel: Kernel
) -> None:
    kernel.is_there = False
    (row,) = found(watcher, reading([record(5)], {VMS[0]: 1}))
    assert row.cause is Cause.UNKNOWN
    assert json.loads(row.evidence)["not_seen"] == ["process_ended"]


def test_of_a_vm_that_has_ended_since_it_is_said_what_was_there_before(
    watcher: CauseWatcher, kernel: Kernel
) -> None:
    (row,) = found(watcher, reading([record(5)], {VMS[0]: 1}))
    kernel.is_there = False
    (later,) = found(watcher, reading([record(10**9, gpa=GPA + PAGE)], {VMS[0]: 1}, second=1))
    assert later.cause is row.cause is Cause.NOT_MAPPED
    assert "not_seen" not in row.evidence
    assert json.loads(later.evidence)["not_seen"] == ["process_ended_since"]
    watcher.forget([VMS[0]])
    (last,) = found(watcher, reading([record(2 * 10**9)], {VMS[0]: 1}, second=2))
    assert last.cause is Cause.UNKNOWN


def test_other_exits_have_no_cause(watcher: CauseWatcher) -> None:
    counts = {ExitKey(*VMS[0], 0, 2, 0): 9, ExitKey(*VMS[0], 0, 0, 4): 9}
    assert not found(watcher, replace(reading([record(5, reason=2, errno=0)], {}), exit_counts=counts))
