# SPDX-License-Identifier: Apache-2.0
"""The batches of a host, as its collector would send them, encoded beforehand.

To encode a batch takes ten times as long as a load generator may take for it. So each host's batch is encoded
once with marks in place of what is another number each second, and cut at the marks. A second's batch is the
pieces with that second's numbers between them: the very bytes that ``wire.encode`` would return for it.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import NamedTuple

import msgspec

from faultmodel import arch, wire
from faultmodel.kinds import CheckState, HostState, ProbeState
from faultmodel.record import Check, Collector, Cost, ExitCount, Host, LedgerEntry, Probe, Span, Vm
from faultmodel.units import NS_PER_MS, NS_PER_S
from faultmodel.wire import Batch

_ARCH = "x86_64"
_PROBES = (
    "kvm:kvm_page_fault",
    "kvm:kvm_userspace_exit",
    "kvmmmu:kvm_mmu_spte_requested",
    "kvmmmu:fast_page_fault",
    "kvmmmu:handle_mmio_page_fault",
)
_CHECKS = ("sides", "pins", "ends", "names")
_CAPABILITIES = ("bpf", "perfmon", "sys_ptrace", "dac_read_search", "net_admin")
_COMMAND_LENGTH = 1024
"""libvirt's command lines are longer, and are cut to this."""
_BOOTED_S = 100_000
"""Before the first second."""
_WORD = 0x1_0000_0004
_MARK = 2**62
_PAGES = 2**20
"""Of a VM: 4 GiB."""


@dataclass(frozen=True, slots=True)
class Load:
    """What happens on a host in each second.

    ``vms`` run there. ``faulting`` of them fault in a second, each in its turn; each of ``vcpus`` vCPUs then
    has ``words`` different words, ``faults`` times or some times more, and ``records`` of a VM's faults are
    recorded. Each VM that faults leaves KVM_RUN once for another reason.
    """

    vms: int = 50
    faulting: int = 50
    vcpus: int = 2
    words: int = 2
    faults: int = 4
    records: int = 10

    @property
    def keys(self) -> int:
        """Of a VM in a second in which it faults: rows of fault counts."""
        return self.vcpus * self.words

    @property
    def seen(self) -> int:
        """Guest faults of a VM in a second in which it faults."""
        return self.keys * self.faults + self.keys * (self.keys - 1) // 2

    @property
    def turns(self) -> int:
        """Seconds until it is the first VM's turn again."""
        return -(-self.vms // self.faulting)


class Numbers(NamedTuple):
    """What is another number each second: of the batch, of each record of a VM, of each key of a VM."""

    batch: Sequence[int]
    times_ns: Sequence[int]
    monotonic_ns: Sequence[int]
    gfns: Sequence[int]
    addresses: Sequence[int]
    faults: Sequence[int]


class HostBatches:
    """The batches of one host, one for each second. Its VMs run since an hour before ``start_s``, UTC s."""

    def __init__(self, number: int, load: Load, start_s: int) -> None:
        self.name = f"hv-{number:04}"
        self._number = number
        self._load = load
        self._start_s = start_s
        self._host = _host(self.name, number)
        self._stream = f"{number + 1:032x}"
        self._pieces = [self._cut(turn) for turn in range(load.turns)]

    def batch(self, second: int, sequence: int) -> Batch:
        """Return the batch of a second, UTC s, with its number in the stream, from 0 on."""
        return self._batch(sequence % self._load.turns, self._numbers(second, sequence))

    def encoded(self, second: int, sequence: int) -> bytes:
        """Return the batch of a second as it travels."""
        pieces, order = self._pieces[sequence % self._load.turns]
        numbers = [msgspec.msgpack.encode(number) for number in chain(*self._numbers(second, sequence))]
        put = pieces.copy()
        put[1::2] = [numbers[place] for place in order]
        return b"".join(put)

    def _cut(self, turn: int) -> tuple[list[bytes], list[int]]:
        """Return what is between the marks, with room for numbers, and which number goes where."""
        places = count(_MARK)
        marks = Numbers(*([next(places) for _ in some] for some in self._numbers(self._start_s, 0)))
        encoded = [msgspec.msgpack.encode(mark) for mark in chain(*marks)]
        whole = wire.encode(self._batch(turn, marks))
        pieces = re.split(b"(" + b"|".join(map(re.escape, encoded)) + b")", whole)
        place_of = {mark: place for place, mark in enumerate(encoded)}
        return pieces, [place_of[piece] for piece in pieces[1::2]]

    def _numbers(self, second: int, sequence: int) -> Numbers:
        load = self._load
        from_ns = second * NS_PER_S
        times = [from_ns + record * NS_PER_S // load.records for record in range(load.records)]
        booted_ns = (self._start_s - _BOOTED_S) * NS_PER_S
        gfns = random.Random(f"{self.name} {second}").choices(range(_PAGES), k=load.records)
        return Numbers(
            batch=(
                sequence,
                second * 1000,
                from_ns,
                from_ns + NS_PER_S,
                (sequence // load.turns + 1) * load.seen,
            ),
            times_ns=times,
            monotonic_ns=[time_ns - booted_ns for time_ns in times],
            gfns=gfns,
            addresses=[gfn << 12 for gfn in gfns],
            # Their sum is the same each second.
            faults=[load.faults + (key + sequence) % load.keys for key in range(load.keys)],
        )

    def _batch(self, turn: int, numbers: Numbers) -> Batch:
        load = self._load
        sequence, bucket_ms, from_ns, to_ns, seen_total = numbers.batch
        first = turn * load.faulting
        vms = [self._vm(number) for number in range(first, min(first + load.faulting, load.vms))]
        make = arch.get(_ARCH).fault_count
        counts = [
            make(bucket_ms, vm.id, key // load.words, "npf", _WORD + key % load.words, faults, faults)
            for vm in vms
            for key, faults in enumerate(numbers.faults)
        ]
        entries = [
            LedgerEntry(
                bucket_ms,
                vm.id,
                load.seen,
                load.seen,
                0,
                load.records,
                load.seen - load.records,
                0,
                seen_total,
            )
            for vm in vms
        ]
        return Batch(
            host=self._host,
            stream=self._stream,
            sequence=sequence,
            arch=_ARCH,
            counting=self._stream,
            covered=(Span(from_ns, to_ns),),
            vms=vms,
            fault_counts=counts,
            faults=[record for vm in vms for record in self._records(vm, numbers)],
            exit_counts=[ExitCount(bucket_ms, vm.id, 0, 2, 0, 1) for vm in vms],
            ledger=entries,
            costs=(Cost(from_ns=from_ns, to_ns=to_ns, cpu_ns=4 * NS_PER_MS, resident_bytes=60_000_000),),
        )

    def _records(self, vm: Vm, numbers: Numbers) -> list[object]:
        load, make = self._load, arch.get(_ARCH).fault
        # Each VM has them in another order, or whatever compresses would see one VM many times.
        order = random.Random(vm.id).sample(range(load.records), load.records)
        gfns, addresses = ([some[place] for place in order] for some in (numbers.gfns, numbers.addresses))
        of_each = zip(numbers.times_ns, numbers.monotonic_ns, gfns, addresses, strict=True)
        return [
            make(
                time_ns=time_ns,
                monotonic_ns=monotonic_ns,
                vm=vm.id,
                vcpu=place % load.vcpus,
                format="npf",
                syndrome=_WORD,
                address=address,
                gfn=gfn,
                rip=0xFFFF_FFFF_8100_0000 + place,
                private=False,
                memslot=1,
                level=1,
                weight=load.seen // load.records,
                nested=False,
            )
            for place, (time_ns, monotonic_ns, gfn, address) in enumerate(of_each)
        ]

    def _vm(self, number: int) -> Vm:
        name = f"vm-{self._number:04}-{number:03}"
        command = f"/usr/bin/qemu-system-x86_64 -name guest={name},debug-threads=on "
        return Vm(
            id=f"{self._number + 1:08x}{number + 1:08x}",
            pid=10_000 + number,
            started_ns=(self._start_s - 3600) * NS_PER_S,
            name=name,
            uuid=f"00000000-0000-4000-{self._number:04x}-{number:012x}",
            vmm="qemu",
            manager="libvirt",
            command=(command + "-device virtio-blk-pci,bus=pci.4 " * 40)[:_COMMAND_LENGTH],
        )


def _host(name: str, number: int) -> Host:
    return Host(
        name=name,
        boot_id=f"00000000-0000-4000-8000-{number:012x}",
        arch=_ARCH,
        state=HostState.ATTACHED,
        kernel="6.12.48+deb13-amd64",
        flavour="svm",
        collector_version="0.1.0",
        probes=tuple(Probe(tracepoint=probe, state=ProbeState.ATTACHED) for probe in _PROBES),
        checks=tuple(Check(name=check, state=CheckState.OK, found="") for check in _CHECKS),
        collector=Collector(
            program="/usr/bin/kvmfaults-collector",
            data_dir="/var/lib/kvmfaults",
            capabilities=_CAPABILITIES,
        ),
    )
