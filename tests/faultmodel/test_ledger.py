# SPDX-License-Identifier: Apache-2.0
"""The rules by which the account of a reading balances, and what breaks each."""

import msgspec
import pytest

from faultmodel.arch.x86 import X86Fault, X86FaultCount
from faultmodel.errors import WireError
from faultmodel.ledger import check_ledger, check_stalls, recorded_ledger
from faultmodel.record import LedgerEntry
from faultmodel.record_stalls import StallEntry
from tests.batches import stall_count
from tests.ledgers import stall_ledger

VM = "00000000000000ff"
OTHER = "00000000000000ee"


def _count(faults: int, *, vm: str = VM, vcpu: int = 0) -> X86FaultCount:
    return X86FaultCount(1000, vm, vcpu, "npf", 0x6, faults=faults)


def _record(vm: str = VM) -> X86Fault:
    return X86Fault(time_ns=1, monotonic_ns=1, vm=vm, vcpu=0, format="npf", syndrome=0x6, address=0)


ENTRY = LedgerEntry(
    bucket_ms=1000, vm=VM, seen=9, counted=7, uncounted=2, recorded=1, sampled_out=5, dropped=3, seen_total=20
)
COUNTS = (_count(4), _count(3, vcpu=1))
RECORDS = (_record(),)


def test_an_account_that_balances_is_taken() -> None:
    check_ledger((ENTRY,), COUNTS, RECORDS)


def test_a_vm_without_faults_needs_no_entry() -> None:
    check_ledger((), (_count(0),), ())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"seen": 10, "sampled_out": 6}, "seen = counted [+] uncounted, but 10 and 9"),
        ({"uncounted": 3}, "seen = counted [+] uncounted, but 9 and 10"),
        ({"sampled_out": 4}, "recorded [+] sampled_out [+] dropped = seen, but 8 and 9"),
        ({"dropped": 4}, "recorded [+] sampled_out [+] dropped = seen, but 10 and 9"),
        ({"counted": 6, "uncounted": 3}, "counted = faults of the fault counts, but 6 and 7"),
        ({"recorded": 2, "sampled_out": 4}, "recorded = number of fault records, but 2 and 1"),
    ],
    ids=["seen", "uncounted", "sampled_out", "dropped", "counted", "recorded"],
)
def test_an_account_that_does_not_balance_is_refused_by_its_rule(change: dict[str, int], rule: str) -> None:
    with pytest.raises(WireError, match=f"ledger of VM {VM} does not balance: {rule}$"):
        check_ledger((msgspec.structs.replace(ENTRY, **change),), COUNTS, RECORDS)


def test_what_is_counted_of_one_vm_is_not_anothers() -> None:
    with pytest.raises(WireError, match=f"ledger lacks VM {OTHER}"):
        check_ledger((ENTRY,), (*COUNTS[:1], _count(3, vm=OTHER)), RECORDS)


def test_a_vm_cannot_have_two_accounts() -> None:
    half = msgspec.structs.replace(
        ENTRY, seen=0, counted=0, uncounted=0, recorded=0, sampled_out=0, dropped=0
    )
    with pytest.raises(WireError, match=r"^ledger has a VM twice$"):
        check_ledger((half, ENTRY), COUNTS, RECORDS)


@pytest.mark.parametrize(
    ("counts", "records"), [((_count(1),), ()), ((), RECORDS)], ids=["counts", "records"]
)
def test_faults_without_an_account_are_refused(
    counts: tuple[X86FaultCount, ...], records: tuple[X86Fault, ...]
) -> None:
    with pytest.raises(WireError, match=f"^ledger lacks VM {VM}, of which the batch has faults$"):
        check_ledger((), counts, records)


def test_the_account_of_a_recording_that_has_every_fault() -> None:
    # The counts of a VM need not lie together.
    counts = (_count(4), _count(5, vm=OTHER), _count(3, vcpu=1))
    made = {entry.vm: entry for entry in recorded_ledger(1000, counts, {VM: 100})}
    assert made == {
        VM: LedgerEntry(1000, VM, 7, 7, 0, recorded=7, sampled_out=0, dropped=0, seen_total=107),
        OTHER: LedgerEntry(1000, OTHER, 5, 5, 0, recorded=5, sampled_out=0, dropped=0, seen_total=5),
    }


STALLS = (stall_count(VM, octave=3, q0=1, q1=2, q2=3, q3=0), stall_count(VM, octave=-1, q0=0, q3=1))
STALL_ENTRY = StallEntry(bucket_ms=1000, vm=VM, ended=9, stalled=7, uncounted=2)


def test_stalls_that_balance_are_taken() -> None:
    check_stalls((STALL_ENTRY,), STALLS)
    check_stalls((), (stall_count(VM, q0=0),))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"ended": 8}, "ended = stalled [+] uncounted, but 8 and 9"),
        ({"uncounted": 3}, "ended = stalled [+] uncounted, but 9 and 10"),
        ({"stalled": 6, "uncounted": 3}, "stalled = faults of the stalls, but 6 and 7"),
    ],
)
def test_stalls_that_do_not_balance_are_refused_by_their_rule(change: dict[str, int], rule: str) -> None:
    with pytest.raises(WireError, match=f"stall ledger of VM {VM} does not balance: {rule}$"):
        check_stalls((msgspec.structs.replace(STALL_ENTRY, **change),), STALLS)


def test_stalls_of_a_vm_without_an_entry_are_refused() -> None:
    with pytest.raises(WireError, match=f"stall ledger lacks VM {OTHER}"):
        check_stalls((STALL_ENTRY,), (*STALLS, stall_count(OTHER)))


def test_a_vm_has_one_entry_of_stalls() -> None:
    with pytest.raises(WireError, match="a VM twice"):
        check_stalls((STALL_ENTRY, STALL_ENTRY), STALLS)


@pytest.mark.parametrize("change", [{"q1": 1}, {"running_ns": 1}, {"blocked_ns": 1}, {"max_ns": 1}])
def test_what_was_not_timed_has_no_time(change: dict[str, int]) -> None:
    untimed = {"octave": -2, "running_ns": 0, "max_ns": 0}
    rows = (stall_count(VM, **untimed),)
    check_stalls(stall_ledger(1000, rows), rows)
    wrong = (stall_count(VM, **(untimed | change)),)
    with pytest.raises(WireError, match=f"stalls of VM {VM} have times"):
        check_stalls(stall_ledger(1000, wrong), wrong)
