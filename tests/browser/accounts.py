# SPDX-License-Identifier: Apache-2.0
"""What becomes of the scene's faults: some are recorded one by one, and a ledger counts the others."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from faultmodel.record import LedgerEntry
from tests.batches import NS_PER_S, fault_record


class Accounts:
    """The records and ledgers of one counting, batch after batch."""

    def __init__(self, counting: str) -> None:
        self.counting = counting
        self._seen: dict[str, int] = defaultdict(int)
        self._unrecorded: dict[tuple[str, int], int] = defaultdict(int)
        self._faults: list[Any] = []
        self._ledger: list[LedgerEntry] = []

    def add(
        self,
        vm: str,
        counts: Sequence[Any],
        seconds: range,
        *,
        records_every_s: int,
        uncounted: int,
        dropped: int,
    ) -> None:
        """Account for a VM's faults of some seconds, of which one vCPU's newest is recorded now and then."""
        before = len(self._faults)
        for second in seconds:
            of_second = [item for item in counts if item.bucket_ms == second * 1000]
            for item in of_second:
                self._unrecorded[vm, item.vcpu] += item.faults
            if of_second and records_every_s and second % records_every_s == 0:
                self._record(vm, of_second[second * 7919 % len(of_second)], second)
        recorded = len(self._faults) - before
        counted = sum(item.faults for item in counts)
        seen = counted + uncounted
        self._seen[vm] += seen
        self._ledger.append(
            LedgerEntry(
                bucket_ms=seconds.start * 1000,
                vm=vm,
                seen=seen,
                counted=counted,
                uncounted=uncounted,
                recorded=recorded,
                sampled_out=seen - recorded - dropped,
                dropped=dropped,
                seen_total=self._seen[vm],
            )
        )

    def _record(self, vm: str, count: Any, second: int) -> None:
        gpa = 0x1_2000_0000 + second * 48271 % 65536 * 4096 + count.vcpu * 8
        self._faults.append(
            fault_record(
                vm,
                time_ns=second * NS_PER_S + second * 7919 % 991 * 1_000_003,
                monotonic_ns=second % 10**6 * NS_PER_S,
                vcpu=count.vcpu,
                format_name=count.format,
                word=count.syndrome,
                address=gpa,
                gfn=gpa >> 12,
                rip=0xFFFF_FFFF_8110_0000 + second * 16 % 4096,
                level=2 if second % 5 == 0 else 1,
                memslot=1 + second % 3,
                weight=self._unrecorded.pop((vm, count.vcpu)),
            )
        )

    def take(self) -> tuple[tuple[Any, ...], tuple[LedgerEntry, ...]]:
        """Return what was added since the last time."""
        taken = tuple(self._faults), tuple(self._ledger)
        self._faults, self._ledger = [], []
        return taken
