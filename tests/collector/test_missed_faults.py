# SPDX-License-Identifier: Apache-2.0
"""What the kernel skipped is put to the VM whose own count in KVM says that it is missing."""

from collector.counting.clock import ClockOffsets
from collector.counting.reader import Reader
from collector.counting.reading import Account
from collector.probe.layout import VmKey
from faultmodel.kinds import LossKind
from tests.collector.counting import START_NS, UTC_NS, VM, Counting


def _reader(counting: Counting) -> Reader:
    offset_ns = UTC_NS - START_NS
    return Reader(counting, lambda: ClockOffsets(offset_ns, offset_ns, 0), lambda: START_NS)


def _account(reader: Reader) -> Account | None:
    return reader.read().accounts.get(VmKey(*VM))


def test_faults_that_were_skipped_are_seen_and_not_counted() -> None:
    counting = Counting()
    reader, vcpu = _reader(counting), counting.slot(0)
    counting.fault(vcpu, times=5)
    vcpu.missed_faults, counting.missed_runs = 3, 4
    reading = reader.read()
    assert reading.accounts[VM] == Account(seen=8, uncounted=3, recorded=0, dropped=0, seen_total=8)
    assert sum(counters[0] for counters in reading.fault_counts.values()) == 5
    assert reading.lost == {"missed_runs": 4}


def test_no_more_are_missing_than_the_kernel_skipped() -> None:
    counting = Counting()
    reader, first, second = _reader(counting), counting.slot(0), counting.slot(1)
    counting.fault(first)
    counting.fault(second)
    first.missed_faults, second.missed_faults, counting.missed_runs = 7, 2, 8
    account = _account(reader)
    assert account is not None
    assert (account.seen, account.uncounted) == (10, 8)


def test_where_nothing_was_skipped_nothing_is_missing() -> None:
    counting = Counting()
    reader, vcpu = _reader(counting), counting.slot(0)
    counting.fault(vcpu)
    vcpu.missed_faults = 5
    assert _account(reader) == Account(seen=1, uncounted=0, recorded=0, dropped=0, seen_total=1)
    # Nor is it held against what is skipped later.
    counting.fault(vcpu)
    counting.missed_runs = 5
    assert _account(reader) == Account(seen=1, uncounted=0, recorded=0, dropped=0, seen_total=2)


def test_what_the_next_fault_alone_shows_comes_with_it() -> None:
    counting = Counting()
    reader, vcpu = _reader(counting), counting.slot(0)
    counting.fault(vcpu)
    counting.missed_runs = 2
    assert _account(reader) == Account(seen=1, uncounted=0, recorded=0, dropped=0, seen_total=1)
    counting.fault(vcpu)
    vcpu.missed_faults = 2
    assert _account(reader) == Account(seen=3, uncounted=2, recorded=0, dropped=0, seen_total=4)


def test_a_successor_knows_what_was_attributed_before_it() -> None:
    counting = Counting()
    reader, vcpu, other = _reader(counting), counting.slot(0), counting.slot(1)
    for skipped in (2, 3):
        counting.fault(vcpu, times=5)
        counting.fault(other)
        vcpu.missed_faults += skipped
        counting.missed_runs += skipped
        counting.commit(reader.read().checkpoint)
    counting.fault(vcpu)
    assert _account(_reader(counting)) == Account(seen=1, uncounted=0, recorded=0, dropped=0, seen_total=18)
    # What was read and never became a batch is read again.
    vcpu.missed_faults += 4
    counting.missed_runs += 4
    _account(reader)
    assert _account(_reader(counting)) == Account(seen=5, uncounted=4, recorded=0, dropped=0, seen_total=22)


def test_a_run_that_the_other_side_makes_up_for_only_later_is_reported_once() -> None:
    counting = Counting()
    reader = _reader(counting)
    lost = []
    for missed in (0, 1, 0, 1, 2):
        counting.missed_runs = missed
        lost.append(reader.read().lost.get(LossKind.MISSED_RUNS, 0))
    assert lost == [0, 1, 0, 0, 1]
