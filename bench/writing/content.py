# SPDX-License-Identifier: Apache-2.0
"""What is written: batches as hosts send them, of counts or of single faults."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Table

from backend.store.sql.records import fault_count_columns, record_columns
from backend.store.sql.tables import families, fault_counts
from backend.store.sql.writer import Row
from faultmodel import arch
from faultmodel.kinds import HostState
from faultmodel.ledger import recorded_ledger
from faultmodel.record import BUCKET_MS, Host, Span, Vm
from faultmodel.wire import Batch
from tests.ledgers import unrecorded_ledger

ARCH = "x86_64"
_START_S = 1_700_000_000
"""In the past: what a host says of the future is set right, which is not measured here."""
_NS_PER_S = 10**9
_WORD = 0x1_0000_0004


class Content(Protocol):
    """Batches of one kind, from any number of hosts."""

    @property
    def rows_per_batch(self) -> int:
        """How many rows of ``table`` a batch becomes."""

    @property
    def table(self) -> Table:
        """The table that takes nearly all of it."""

    def batch(self, host: int, sequence: int) -> Batch:
        """Return a host's batch of this number."""

    def rows(self, batch: Batch, number: int) -> Sequence[Row]:
        """Return what the batch becomes in the table. ``number``: of batches that were written before."""


@dataclass(frozen=True)
class Counts:
    """A second of a host with many busy VMs: every row is a count of its own."""

    vms: int = 25
    vcpus: int = 8
    words: int = 25

    @property
    def rows_per_batch(self) -> int:
        """One for each VM, vCPU and word."""
        return self.vms * self.vcpus * self.words

    @property
    def table(self) -> Table:
        """That of the architecture's counts."""
        return fault_counts

    def batch(self, host: int, sequence: int) -> Batch:
        """Return a host's batch: second number ``sequence``."""
        bucket_s = _START_S + sequence
        vms = tuple(Vm(id=f"{host:04x}{vm:012x}", pid=vm, started_ns=0) for vm in range(self.vms))
        count = arch.get(ARCH).fault_count
        counts = tuple(
            count(bucket_s * BUCKET_MS, vm.id, vcpu, "npf", _WORD + word, *self._counters(vcpu + word))
            for vm in vms
            for vcpu in range(self.vcpus)
            for word in range(self.words)
        )
        seen = 1000 * self.vcpus * self.words * sequence
        return Batch(
            host=host_of(host),
            stream=f"{host:032x}",
            sequence=sequence,
            arch=ARCH,
            counting=f"{host:032x}",
            covered=(Span(bucket_s * _NS_PER_S, (bucket_s + 1) * _NS_PER_S),),
            vms=vms,
            fault_counts=counts,
            ledger=unrecorded_ledger(bucket_s * BUCKET_MS, counts, {vm.id: seen for vm in vms}),
        )

    def _counters(self, place: int) -> tuple[int, int, int, int, int]:
        """Return how many faults there were, of 1000 on an average, and how many ended in three ways.

        They differ from row to row, as counts do: what is the same in many rows may be cheaper to write.
        """
        faults = 1000 + place % self.words - self.words // 2
        fast, mapped_2m = 10 + place % 7, 80 + place % 11
        return faults, faults - mapped_2m - fast, mapped_2m, 0, fast

    def rows(self, batch: Batch, number: int) -> Sequence[Row]:
        """Return the batch's counts, whose keys are new whatever ``number`` is."""
        numbers = {vm.id: int(vm.id, 16) for vm in batch.vms}
        return list(zip(*fault_count_columns(arch.get(ARCH), batch.fault_counts, numbers), strict=True))


@dataclass(frozen=True)
class Records:
    """A tenth of a second of one VM that is recorded fault by fault."""

    records: int = 10_000
    vcpus: int = 2

    @property
    def rows_per_batch(self) -> int:
        """One for each record."""
        return self.records

    @property
    def table(self) -> Table:
        """That of the architecture's single faults."""
        return families[ARCH].faults

    def batch(self, host: int, sequence: int) -> Batch:
        """Return a host's batch: tenth of a second number ``sequence``."""
        from_ns = _START_S * _NS_PER_S + sequence * _NS_PER_S // 10
        bucket_ms = from_ns // _NS_PER_S * BUCKET_MS
        vm = Vm(id=f"{host:016x}", pid=host, started_ns=0)
        count, each = arch.get(ARCH).fault_count, self.records // self.vcpus
        counts = tuple(count(bucket_ms, vm.id, vcpu, "npf", _WORD, each, each) for vcpu in range(self.vcpus))
        return Batch(
            host=host_of(host),
            stream=f"{host:032x}",
            sequence=sequence,
            arch=ARCH,
            counting=f"{host:032x}",
            covered=(Span(from_ns, from_ns + _NS_PER_S // 10),),
            vms=(vm,),
            fault_counts=counts,
            faults=tuple(self._records(vm.id, from_ns, sequence)),
            ledger=recorded_ledger(bucket_ms, counts, {vm.id: self.records * sequence}),
        )

    def rows(self, batch: Batch, number: int) -> Sequence[Row]:
        """Return the batch's records, with positions that no other batch has."""
        numbers = {vm.id: int(vm.id, 16) for vm in batch.vms}
        positions = range(number * self.records, (number + 1) * self.records)
        return list(zip(*record_columns(self.table, batch.faults, numbers, positions), strict=True))

    def _records(self, vm_id: str, from_ns: int, sequence: int) -> Iterator[object]:
        fault, apart_ns = arch.get(ARCH).fault, _NS_PER_S // 10 // self.records
        for number in range(self.records):
            time_ns = from_ns + number * apart_ns
            gfn = sequence * self.records + number
            yield fault(
                time_ns=time_ns,
                monotonic_ns=time_ns - _START_S * _NS_PER_S,
                vm=vm_id,
                vcpu=number % self.vcpus,
                format="npf",
                syndrome=_WORD,
                address=gfn << 12,
                gfn=gfn,
                rip=0xFFFF_FFFF_8100_0000 + number,
                private=False,
                memslot=1,
                level=1,
            )


def host_of(number: int) -> Host:
    """Return a host of this number."""
    return Host(name=f"host-{number}", boot_id="bench", arch=ARCH, state=HostState.ATTACHED)
