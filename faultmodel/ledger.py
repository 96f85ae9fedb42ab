# SPDX-License-Identifier: Apache-2.0
"""The accounts of a reading's guest faults: nothing seen is missing from what was counted or recorded, and
nothing that ended from the histograms of stalls.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from faultmodel.errors import WireError
from faultmodel.record import LedgerEntry
from faultmodel.record_stalls import StallCount, StallEntry
from faultmodel.rows import column, summed
from faultmodel.stalls import QUARTERS, UNTIMED


def check_ledger(ledger: Sequence[LedgerEntry], fault_counts: Sequence[Any], faults: Sequence[Any]) -> None:
    """Check that a batch's ledger balances and agrees with what else the batch holds.

    :param fault_counts: the batch's fault counts
    :param faults: its records of single faults
    :raises WireError: naming the VM and both sides that differ
    """
    counted = _counted(fault_counts)
    recorded = _recorded(faults)
    entries = {entry.vm: entry for entry in ledger}
    if len(entries) != len(ledger):
        raise WireError("ledger has a VM twice")
    for vm in {*counted, *recorded} - entries.keys():
        if counted.get(vm) or recorded.get(vm):
            raise WireError(f"ledger lacks VM {vm}, of which the batch has faults")
    for vm, entry in entries.items():
        for rule, left, right in (
            ("seen = counted + uncounted", entry.seen, entry.counted + entry.uncounted),
            (
                "recorded + sampled_out + dropped = seen",
                entry.recorded + entry.sampled_out + entry.dropped,
                entry.seen,
            ),
            ("counted = faults of the fault counts", entry.counted, counted.get(vm, 0)),
            ("recorded = number of fault records", entry.recorded, recorded.get(vm, 0)),
        ):
            if left != right:
                raise WireError(f"ledger of VM {vm} does not balance: {rule}, but {left} and {right}")


def check_stalls(ledger: Sequence[StallEntry], stalls: Sequence[StallCount]) -> None:
    """Check that a batch's account of faults that ended balances and agrees with its histograms.

    :raises WireError: naming the VM and what differs
    """
    stalled = _stalled(stalls)
    entries = {entry.vm: entry for entry in ledger}
    if len(entries) != len(ledger):
        raise WireError("stall ledger has a VM twice")
    for vm in stalled.keys() - entries.keys():
        if stalled[vm]:
            raise WireError(f"stall ledger lacks VM {vm}, of which the batch has stalls")
    for vm, entry in entries.items():
        for rule, left, right in (
            ("ended = stalled + uncounted", entry.ended, entry.stalled + entry.uncounted),
            ("stalled = faults of the stalls", entry.stalled, stalled.get(vm, 0)),
        ):
            if left != right:
                raise WireError(f"stall ledger of VM {vm} does not balance: {rule}, but {left} and {right}")
    for row in stalls:
        if row.octave == UNTIMED and any((*_quarters(row)[1:], row.running_ns, row.blocked_ns, row.max_ns)):
            raise WireError(f"stalls of VM {row.vm} have times, of faults whose time was not taken")


def stalled_in(stalls: Sequence[StallCount]) -> int:
    """Return how many faults histograms have."""
    return sum(sum(_quarters(row)) for row in stalls)


def recorded_ledger(
    bucket_ms: int, fault_counts: Sequence[Any], seen_before: Mapping[str, int]
) -> tuple[LedgerEntry, ...]:
    """Return the ledger of a source that counts every fault and records each of them: an imported trace.

    :param seen_before: by VM, what earlier batches of the same counting had
    """
    return tuple(
        LedgerEntry(
            bucket_ms=bucket_ms,
            vm=vm,
            seen=count,
            counted=count,
            uncounted=0,
            recorded=count,
            sampled_out=0,
            dropped=0,
            seen_total=seen_before.get(vm, 0) + count,
        )
        for vm, count in _counted(fault_counts).items()
    )


def _counted(fault_counts: Sequence[Any]) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for (_, vm), faults in summed(fault_counts, ("bucket_ms", "vm"), "faults").items():
        sums[vm] += faults
    return sums


def _stalled(stalls: Sequence[StallCount]) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for quarter in range(QUARTERS):
        for (vm,), count in summed(stalls, ("vm",), f"q{quarter}").items():
            sums[vm] += count
    return sums


def _quarters(row: StallCount) -> Sequence[int]:
    return row.q0, row.q1, row.q2, row.q3


def _recorded(faults: Sequence[Any]) -> Mapping[str, int]:
    return Counter(column(faults, "vm"))
