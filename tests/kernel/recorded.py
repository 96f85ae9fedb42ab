# SPDX-License-Identifier: Apache-2.0
"""One guest whose faults are recorded, among others that run on the same host and are not."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from collector.counting import decoder
from collector.counting.reader import Reader
from collector.counting.reading import Account, Reading
from collector.probe.layout import FaultRecord, RecordLevel, VmKey
from collector.probe.probes import Probes
from demo.exact import ExactGuest, Order
from faultmodel import arch
from tests.kernel.attached import own_vms, read

SECOND = 1_000_000_000


@dataclass
class Recorded:
    """A guest that has followed its order once, without being recorded; ``before`` is that reading."""

    probes: Probes
    reader: Reader
    guest: ExactGuest
    before: Reading
    vm: VmKey

    def order(
        self, level: RecordLevel, *, others: RecordLevel = RecordLevel.NONE, spacing_ns: int = SECOND
    ) -> None:
        """Have the guest's faults recorded so, and the other guests' otherwise."""
        self.probes.record(others, spacing_ns, {self.vm: level})

    def follow(self) -> Reading:
        """Let the guest follow its order once more and take a reading."""
        self.guest.follow("once more")
        return self.read()

    def read(self) -> Reading:
        """Take a reading and note it; what it says of other guests is left out."""
        return self.own(read(self.reader, self.probes))

    def own(self, reading: Reading) -> Reading:
        """What a reading says of this guest."""
        return replace(
            reading,
            fault_counts={key: value for key, value in reading.fault_counts.items() if key[:2] == self.vm},
            faults=[record for record in reading.faults if VmKey(record.kvm, record.instance) == self.vm],
            exits=[record for record in reading.exits if VmKey(record.kvm, record.instance) == self.vm],
            accounts={vm: account for vm, account in reading.accounts.items() if vm == self.vm},
        )


@contextmanager
def recorded(probes: Probes, order: Order) -> Iterator[Recorded]:
    """Run a guest under attached probes, and let it follow its order once."""
    with ExactGuest(order) as guest:
        probes.record(RecordLevel.NONE, SECOND, {})
        reader = Reader(probes)
        earlier = own_vms(read(reader, probes))
        guest.follow("first")
        reading = read(reader, probes)
        (vm,) = own_vms(reading) - earlier
        one = Recorded(probes, reader, guest, reading, vm)
        one.before = one.own(reading)
        yield one


def account(*readings: Reading) -> Account:
    """What became of the guest's faults in these readings."""
    accounts = [account for reading in readings for account in reading.accounts.values()]
    return Account(
        seen=sum(item.seen for item in accounts),
        uncounted=sum(item.uncounted for item in accounts),
        recorded=sum(item.recorded for item in accounts),
        dropped=sum(item.dropped for item in accounts),
        seen_total=max((item.seen_total for item in accounts), default=0),
    )


def records(*readings: Reading) -> list[FaultRecord]:
    """The guest's records in these readings."""
    return [record for reading in readings for record in reading.faults]


def decoded(*readings: Reading) -> list[Any]:
    """The same as the architecture has them."""
    architecture = arch.for_machine(platform.machine())
    return [
        fault
        for reading in readings
        for fault in decoder.faults(reading, architecture, dict.fromkeys(reading.accounts, "0" * 16))
    ]
