# SPDX-License-Identifier: Apache-2.0
"""A fleet without guests: so many VMs on so many hosts, as the batches that their collectors would send.

Every count follows from the VM's number and the second, so that a test can say what must be shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from faultmodel import arch
from faultmodel.record import ExitCount, Host, Span, Vm
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, make_host, make_vm
from tests.ledgers import unrecorded_ledger

_WORDS = (0x1_0000_0004, 0x1_0000_0006)
_ROUND_S = 20
"""After so long a VM's faults are what they were."""
_EXITS_EVERY = 40
"""Every so manieth VM leaves KVM_RUN with a memory fault, once a second; the next one with a bare error."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """VMs ``vm-0000`` to as many, dealt out to hosts ``hv-00`` to as many."""

    vms: int
    hosts: int
    vcpus: int = 2
    """Of each VM."""

    @property
    def host_names(self) -> Sequence[str]:
        """The hosts."""
        return [f"hv-{number:02}" for number in range(self.hosts)]

    def vm(self, number: int, start_s: int) -> Vm:
        """Return a VM, which runs since a minute before ``start_s``."""
        return make_vm(
            f"{number + 1:016x}",
            pid=10_000 + number,
            name=f"vm-{number:04}",
            uuid=f"00000000-0000-4000-8000-{number:012x}",
            started_ns=(start_s - 60) * NS_PER_S,
            command=f"/usr/bin/qemu-system-x86_64 -name vm-{number:04} " + "-device virtio-blk-pci " * 40,
        )

    def faults(self, number: int, second: int) -> int:
        """Return how often a VM faults in a second: the higher its number, the more often, in waves of its
        own."""
        return self.vcpus * len(_WORDS) * self._each(number, second)

    def batches(
        self, seconds: range, sequence: int, *, start_s: int, counted_from_s: int | None = None
    ) -> Iterator[Batch]:
        """Yield one batch of each host for some seconds.

        :param start_s: when the fleet was first there
        :param counted_from_s: where its faults began to be counted, if that was not at ``start_s``
        """
        seen_from_s = start_s if counted_from_s is None else counted_from_s
        for place, name in enumerate(self.host_names):
            host = make_host(name, boot_id=f"boot-of-{name}", kernel="6.12.48")
            numbers = range(place, self.vms, self.hosts)
            yield self._batch(host, numbers, seconds, sequence, start_s, seen_from_s)

    def _seen(self, number: int, seconds: range) -> int:
        rounds, rest = divmod(len(seconds), _ROUND_S)
        of_round = sum(self._each(number, second) for second in range(_ROUND_S)) if rounds else 0
        each = rounds * of_round + sum(self._each(number, second) for second in seconds[:rest])
        return self.vcpus * len(_WORDS) * each

    def _each(self, number: int, second: int) -> int:
        return 1 + number // 4 + (second * (number % 7 + 1)) % _ROUND_S

    def _batch(
        self, host: Host, numbers: range, seconds: range, sequence: int, start_s: int, seen_from_s: int
    ) -> Batch:
        make = arch.get("x86_64").fault_count
        vms = [self.vm(number, start_s) for number in numbers]
        counts = [
            make(
                bucket_ms=second * 1000,
                vm=vm.id,
                vcpu=vcpu,
                format="npf",
                syndrome=word,
                faults=self._each(number, second),
                mapped_4k=self._each(number, second),
            )
            for vm, number in zip(vms, numbers, strict=True)
            for second in seconds
            for vcpu in range(self.vcpus)
            for word in _WORDS
        ]
        exits = [
            ExitCount(second * 1000, vm.id, 0, 39 if number % _EXITS_EVERY == 0 else 0, 14, 1)
            for vm, number in zip(vms, numbers, strict=True)
            if number % _EXITS_EVERY < 2
            for second in seconds
        ]
        before = range(seen_from_s, seconds.start)
        seen_before = {vm.id: self._seen(number, before) for vm, number in zip(vms, numbers, strict=True)}
        stream = msgspec.json.encode(host.name).hex().rjust(32, "0")[:32]
        return Batch(
            host=host,
            stream=stream,
            counting=stream,
            sequence=sequence,
            arch="x86_64",
            covered=(Span(seconds.start * NS_PER_S, seconds.stop * NS_PER_S),),
            vms=tuple(vms),
            fault_counts=tuple(counts),
            exit_counts=tuple(exits),
            ledger=unrecorded_ledger(seconds.start * 1000, counts, seen_before),
        )
