# SPDX-License-Identifier: Apache-2.0
"""What was added between two states of the counting maps."""

from functools import partial

from collector.counting.differences import differences as _differences
from collector.probe.layout import VcpuKey, VmKey
from collector.probe.snapshot import Table
from collector.probe.views import Views
from faultmodel.kinds import LossKind
from tests.collector.counting import NOTHING, VM, Counting, Vcpu
from tests.collector.layouts import COMPILED

differences = partial(_differences, views=Views(COMPILED))


def _slots(**slots: bytes) -> dict[str, Table]:
    return {**NOTHING, "slots": {name.encode(): value for name, value in slots.items()}}


def _vcpu(vm: VmKey = VM, vcpu: int = 0, tid: int = 500, faults: int = 0) -> Vcpu:
    made = Vcpu(VcpuKey(*vm, vcpu), tid)
    Counting().fault(made, times=faults)
    return made


def _torn() -> bytes:
    """A slot between counting a word and counting a fault."""
    vcpu = _vcpu(faults=4)
    steps = Counting().steps(vcpu, 6, record=False)
    next(steps)
    return vcpu.pack()


def test_what_did_not_change_is_not_in_it() -> None:
    now = _slots(slot=_vcpu(faults=4).pack())
    found = differences(now, now)
    assert (found.fault_counts, dict(found.vcpus)) == ({}, {})
    assert not any(found.changed.values())


def test_only_what_changed_is_kept_for_the_next_time() -> None:
    before = _slots(one=_vcpu(faults=4).pack(), two=_vcpu(vcpu=1, faults=4).pack())
    now = _slots(one=_vcpu(faults=5).pack(), two=_vcpu(vcpu=1, faults=4).pack())
    found = differences(now, before)
    assert found.changed["slots"] == {b"one": now["slots"][b"one"]}


def test_a_home_with_another_owner_starts_from_zero() -> None:
    other = VmKey(0xFFFF888100000000, 78)
    before = _slots(slot=_vcpu(faults=9).pack())
    for owner in (_vcpu(vm=other, faults=4), _vcpu(vcpu=1, faults=4), _vcpu(tid=501, faults=4)):
        found = differences(_slots(slot=owner.pack()), before)
        assert [counters[0] for counters in found.fault_counts.values()] == [4]
        assert [account.seen for account in found.vcpus.values()] == [4]


def test_a_home_whose_vcpu_lies_elsewhere_is_the_same_home() -> None:
    # Where the kernel has no debugfs, a VM at the address of another is taken for it.
    moved = bytearray(_vcpu(faults=9).pack())
    at = COMPILED.value("slots").fields["vcpu"].offset
    moved[at : at + 8] = bytes(range(8))
    found = differences(_slots(slot=bytes(moved)), _slots(slot=_vcpu(faults=4).pack()))
    assert [counters[0] for counters in found.fault_counts.values()] == [5]


def test_two_homes_of_one_vcpu_are_added() -> None:
    # A vCPU that moved from one thread to another.
    now = _slots(one=_vcpu(faults=4).pack(), two=_vcpu(tid=501, faults=3).pack())
    found = differences(now, NOTHING)
    assert [counters[0] for counters in found.fault_counts.values()] == [7]
    assert found.vcpus[VcpuKey(*VM, 0)].seen == 7


def test_counts_caught_between_two_additions_are_read_again() -> None:
    asked = []

    def reread(table: str, key: bytes) -> bytes:
        asked.append((table, key))
        return _vcpu(faults=5).pack()

    found = differences(_slots(slot=_torn()), NOTHING, reread=reread)
    assert asked == [("slots", b"slot")]
    assert [counters[0] for counters in found.fault_counts.values()] == [5]
    assert found.changed["slots"] == {b"slot": _vcpu(faults=5).pack()}


def test_counts_that_never_add_up_come_with_a_later_reading() -> None:
    before = _slots(slot=_vcpu(faults=3).pack())
    found = differences(_slots(slot=_torn()), before, reread=lambda _table, _key: _torn())
    assert (found.fault_counts, found.changed["slots"]) == ({}, {})
    assert [c[0] for c in differences(_slots(slot=_vcpu(faults=5).pack()), before).fault_counts.values()] == [
        2
    ]


def test_counts_that_are_gone_when_read_again_are_nobodys() -> None:
    found = differences(_slots(slot=_torn()), NOTHING, reread=lambda _table, _key: None)
    assert (found.fault_counts, found.changed["slots"]) == ({}, {})


def test_records_and_drops_are_by_vcpu() -> None:
    counting = Counting(ring_records=2)
    vcpu = counting.slot(0)
    counting.fault(vcpu, times=5, record=True)
    account = differences(counting.snapshot().tables, NOTHING).vcpus[VcpuKey(*VM, 0)]
    assert (account.seen, account.recorded, account.dropped) == (5, 2, 3)


def test_faults_that_found_no_room_are_reported_as_uncounted() -> None:
    counting = Counting(in_place=1, room=1)
    vcpu = counting.slot(0)
    for word in (6, 4, 0x14, 0x14):
        counting.fault(vcpu, word)
    found = differences(counting.snapshot().tables, NOTHING)
    account = found.vcpus[VcpuKey(*VM, 0)]
    assert (account.seen, account.in_map, account.uncounted) == (4, 1, 2)
    assert sum(counters[0] for counters in found.fault_counts.values()) == 2
    assert found.lost == {"keys_full": 2}


def test_what_was_lost_between_two_looks_and_then_found_is_reported_once() -> None:
    def at(number: int) -> dict[str, Table]:
        lost = {"keys_full": 0, "unattributed": number, "exit_records": 0}
        return {**NOTHING, "lost": Views(COMPILED).lost.pack(lost, over=NOTHING["lost"])}

    before, lost = at(4), []
    # Caught as lost, found, really lost, lost again.
    for number in (5, 4, 5, 7):
        found = differences(at(number), before)
        lost.append(found.lost.get(LossKind.UNATTRIBUTED, 0))
        before = {**before, "lost": {**before["lost"], **found.changed["lost"]}}
    assert lost == [1, 0, 0, 2]
