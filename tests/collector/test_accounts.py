# SPDX-License-Identifier: Apache-2.0
"""The account of a VM's faults: what was seen, counted, recorded and dropped, reading after reading."""

from collector.counting.reader import Reader
from collector.counting.reading import Account
from collector.probe.layout import VmKey
from tests.collector.counting import VM, Counting

OTHER = VmKey(0xFFFF888100000000, 78)


def test_a_vm_that_saw_nothing_has_no_account() -> None:
    counting = Counting()
    counting.fault(counting.slot(0), times=2)
    reader = Reader(counting)
    assert set(reader.read().accounts) == {VM}
    assert reader.read().accounts == {}


def test_seen_is_counted_and_uncounted() -> None:
    counting = Counting(in_place=1, room=1)
    vcpu = counting.slot(0)
    for word in (6, 4, 0x14, 0x15):
        counting.fault(vcpu, word)
    reading = Reader(counting).read()
    assert reading.accounts == {VM: Account(seen=4, uncounted=2, recorded=0, dropped=0, seen_total=4)}


def test_accounts_add_up_the_vcpus_of_each_vm() -> None:
    counting = Counting()
    counting.fault(counting.slot(0), times=2, record=True)
    counting.fault(counting.overflowed(1), times=3)
    counting.fault(counting.slot(0, vm=OTHER), times=4)
    accounts = Reader(counting).read().accounts
    assert accounts[VM] == Account(seen=5, uncounted=0, recorded=2, dropped=0, seen_total=5)
    assert accounts[OTHER] == Account(seen=4, uncounted=0, recorded=0, dropped=0, seen_total=4)


def test_a_vcpu_that_changed_its_thread_has_one_account() -> None:
    counting = Counting(in_place=1, room=1, ring_records=1)
    for vcpu in (counting.slot(0, tid=500), counting.slot(0, tid=501)):
        counting.fault(vcpu, 6, record=True)
        counting.fault(vcpu, 4)
        counting.fault(vcpu, 0x14)
    reading = Reader(counting).read()
    assert reading.accounts == {VM: Account(seen=6, uncounted=2, recorded=1, dropped=1, seen_total=6)}
    assert reading.lost == {"keys_full": 2}


def test_totals_go_on_from_one_reading_and_one_collector_to_the_next() -> None:
    counting = Counting(in_place=1, room=1)
    vcpu = counting.slot(0)
    reader = Reader(counting)
    for word in (6, 4, 0x14):
        counting.fault(vcpu, word)
    counting.commit(reader.read().checkpoint)
    counting.fault(vcpu, 0x15)
    first = reader.read()
    counting.commit(first.checkpoint)
    counting.fault(vcpu, 4)
    successor = Reader(counting).read()
    assert (first.accounts[VM].seen_total, successor.accounts[VM].seen_total) == (4, 5)


def test_a_record_whose_fault_is_not_counted_yet_waits_for_it() -> None:
    counting = Counting()
    vcpu = counting.slot(0)
    reader = Reader(counting)
    counting.fault(vcpu, times=1, record=True)
    steps = counting.steps(vcpu, 6, record=True)
    # Written to the ring, and stopped there.
    next(steps)
    assert [record.weight for record in reader.read().faults] == [1]
    list(steps)
    later = reader.read()
    assert len(later.faults) == 1
    assert later.accounts[VM].recorded == 1


def test_no_more_records_are_reported_than_faults_were_counted() -> None:
    counting = Counting(in_place=1)
    vcpu = counting.slot(0)
    counting.fault(vcpu, 6)
    reader = Reader(counting)
    reader.read()
    pauses = iter(range(100))

    def fault_between_the_maps() -> None:
        if next(pauses) == 1:
            # fault_counts was read just before: this fault's slot has it, its count comes later.
            counting.fault(vcpu, 4, record=True)

    counting.pause = fault_between_the_maps
    first, second = reader.read(), reader.read()
    assert (first.accounts, first.faults) == ({}, [])
    assert second.accounts == {VM: Account(seen=1, uncounted=0, recorded=1, dropped=0, seen_total=2)}
    assert len(second.faults) == 1


def test_records_that_were_taken_early_are_in_the_next_reading() -> None:
    counting = Counting()
    reader = Reader(counting)
    vcpu = counting.slot(0)
    counting.fault(vcpu, times=3, record=True)
    reader.empty_ring()
    counting.fault(vcpu, times=2, record=True)
    reading = reader.read()
    assert [record.monotonic_ns for record in reading.faults] == [r.monotonic_ns for r in counting.faults]
    assert reading.accounts[VM].recorded == 5


def test_what_the_ring_had_no_room_for_is_dropped() -> None:
    counting = Counting(ring_records=2)
    counting.fault(counting.slot(0), times=7, record=True)
    reading = Reader(counting).read()
    assert len(reading.faults) == 2
    assert reading.accounts[VM] == Account(seen=7, uncounted=0, recorded=2, dropped=5, seen_total=7)


def test_records_that_went_with_a_killed_collector_are_dropped() -> None:
    counting = Counting()
    vcpu = counting.slot(0)
    killed = Reader(counting)
    counting.fault(vcpu, times=3, record=True)
    killed.empty_ring()
    counting.fault(vcpu, times=2, record=True)
    reading = Reader(counting).read()
    assert len(reading.faults) == 2
    assert reading.accounts[VM] == Account(seen=5, uncounted=0, recorded=2, dropped=3, seen_total=5)


def test_lost_records_are_dropped_only_once_it_is_sure_that_they_do_not_come() -> None:
    counting = Counting()
    vcpu = counting.slot(0)
    killed = Reader(counting)
    counting.fault(vcpu, times=3, record=True)
    killed.empty_ring()
    reader = Reader(counting)
    pauses = iter(range(100))

    def fault_after_the_ring_was_read() -> None:
        if next(pauses) == 6:
            counting.fault(vcpu, record=True)

    counting.pause = fault_after_the_ring_was_read
    first, second = reader.read(), reader.read()
    assert [(a.recorded, a.dropped) for a in (first.accounts[VM], second.accounts[VM])] == [(0, 0), (1, 0)]
    counting.fault(vcpu, times=9)
    assert reader.read().accounts[VM].dropped == 3


def test_a_forgotten_vm_leaves_no_record_behind() -> None:
    counting = Counting()
    vcpu = counting.slot(0)
    reader = Reader(counting)
    next(counting.steps(vcpu, 6, record=True))
    reader.read()
    reader.forget({VM})
    counting.fault(counting.slot(0), times=1, record=False)
    assert reader.read().faults == []
