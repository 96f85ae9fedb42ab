# SPDX-License-Identifier: Apache-2.0
"""Whatever happens between which two steps: the ledger balances, and nothing is lost or counted twice.

Programs are stopped between any two of their additions, the reader between any two maps, and the collector is
killed between any two of its own steps.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.counting import decoder
from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.compiled import Layout
from collector.probe.layout import FaultRecord, VmKey
from faultmodel import arch
from faultmodel.ledger import check_ledger
from tests.collector.counting import VM, Counting
from tests.collector.layouts import COMPILED, mirrored

OTHER = VmKey(0xFFFF888100000000, 78)
IDS = {VM: "00000000000000aa", OTHER: "00000000000000bb"}
X86 = arch.get("x86_64")

Act = Callable[["Host"], None]
Pauses = list[list[int]]
"""By pause: which vCPUs take their next step in it."""

fault = st.tuples(st.integers(0, 3), st.integers(1, 5), st.booleans())
pauses = st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8)
act = st.one_of(
    st.builds(lambda faults: lambda host: host.start(faults), st.lists(fault, min_size=1, max_size=12)),
    st.builds(lambda steps: lambda host: host.run(steps), st.lists(st.integers(0, 3), max_size=30)),
    st.just(lambda host: host.reader.empty_ring()),
    st.builds(lambda between: lambda host: host.read_and_store(between), pauses),
    st.builds(lambda between: lambda host: host.be_killed_before_storing(between), pauses),
    st.builds(lambda between: lambda host: host.be_killed_after_storing(between), pauses),
)


@dataclass
class Host:
    """Programs at work on four vCPUs of two VMs, two of which have no slot, and the collector beside them."""

    counting: Counting
    done: Counter[VmKey] = field(default_factory=Counter)
    to_record: int = 0
    readings: list[Reading] = field(default_factory=list)
    was_killed: bool = False

    def __post_init__(self) -> None:
        self.vcpus = [
            *(self.counting.slot(0), self.counting.overflowed(1)),
            *(self.counting.slot(0, vm=OTHER), self.counting.overflowed(1, vm=OTHER)),
        ]
        self.queues: list[list[Iterator[None]]] = [[] for _ in self.vcpus]
        self.reader = Reader(self.counting)

    def start(self, faults: list[tuple[int, int, bool]]) -> None:
        for number, word, record in faults:
            vcpu = self.vcpus[number]
            self.done[VmKey(*vcpu.key[:2])] += 1
            self.to_record += record
            self.queues[number].append(self.counting.steps(vcpu, word, record=record))

    def run(self, steps: list[int]) -> None:
        for number in steps:
            if self.queues[number] and next(self.queues[number][0], self) is self:
                self.queues[number].pop(0)

    def read_and_store(self, between: Pauses) -> None:
        reading = self._read(between)
        self.readings.append(reading)
        self.counting.commit(reading.checkpoint)

    def be_killed_before_storing(self, between: Pauses) -> None:
        self._read(between)
        self._start_anew()

    def be_killed_after_storing(self, between: Pauses) -> None:
        # What is stored and not noted, the successor notes.
        self.read_and_store(between)
        self._start_anew()

    def finish(self) -> None:
        while any(self.queues):
            self.run([0, 1, 2, 3])
        for _ in range(2):
            self.read_and_store([])

    def _read(self, between: Pauses) -> Reading:
        left = iter(between)
        self.counting.pause = lambda: self.run(next(left, [0, 1, 2, 3]))
        try:
            return self.reader.read()
        finally:
            self.counting.pause = lambda: None

    def _start_anew(self) -> None:
        self.was_killed = True
        self.reader = Reader(self.counting)


@settings(max_examples=300)
@given(
    acts=st.lists(act, max_size=25),
    in_place=st.integers(1, 3),
    room=st.integers(0, 6),
    ring_records=st.integers(1, 9),
    layout=st.sampled_from([COMPILED, mirrored(COMPILED)]),
)
def test_every_ledger_balances_and_the_totals_are_what_the_guests_did(
    acts: list[Act], in_place: int, room: int, ring_records: int, layout: Layout
) -> None:
    counting = Counting(in_place=in_place, room=room, ring_records=ring_records, layout=layout)
    host = Host(counting)
    for do in acts:
        do(host)
    host.finish()
    seen: Counter[VmKey] = Counter()
    for reading in host.readings:
        check_ledger(
            decoder.ledger(reading, IDS),
            decoder.fault_counts(reading, X86, IDS),
            decoder.faults(reading, X86, IDS),
        )
        assert not {"unbalanced", "unread_vcpus"} & reading.lost.keys()
        for vm, account in reading.accounts.items():
            seen[vm] += account.seen
            assert account.seen_total == seen[vm]
    assert seen == +host.done
    records = [record for reading in host.readings for record in reading.faults]
    dropped = sum(account.dropped for reading in host.readings for account in reading.accounts.values())
    assert len(set(records)) == len(records)
    assert _in_order(records)
    if host.was_killed:
        assert len(records) + dropped <= host.to_record
    else:
        assert dropped == sum(vcpu.dropped for vcpu in host.vcpus)
        assert len(records) == host.to_record - dropped


def _in_order(records: list[FaultRecord]) -> bool:
    by_vcpu: dict[tuple[int, ...], list[int]] = {}
    for record in records:
        by_vcpu.setdefault((record.kvm, record.instance, record.vcpu), []).append(record.monotonic_ns)
    return all(times == sorted(times) for times in by_vcpu.values())
