# SPDX-License-Identifier: Apache-2.0
"""A counting without a kernel: the maps' bytes and the rings, as the programs write them, step by step.

Written from event.h, maps.bpf.h and faults.bpf.c. A test decides when a program takes its next step, what the
reader reads in between, and when the reader is killed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from collector.probe.compiled import Layout
from collector.probe.layout import (
    EXIT_REASON,
    ExitKey,
    ExitRecord,
    FaultKey,
    FaultRecord,
    Syndrome,
    VcpuHead,
    VcpuKey,
    VmKey,
    VmRecord,
)
from collector.probe.snapshot import COUNTED, MISSED_FAULTS, Checkpoint, Positions, Records, Snapshot, Table
from collector.probe.view import View
from collector.probe.views import Views
from faultmodel.record import COUNTERS
from tests.collector.layouts import COMPILED

VM = VmKey(0xFFFF888100000000, 77)
PFERR = 3
COUNTING = "c" * 32
START_NS = 100_000_000_000
"""Monotonic, when the counting began; UTC is 1000 s more."""
UTC_NS = START_NS + 1_000_000_000_000
_LOST = ("keys_full", "unattributed", "exit_records")
NOTHING: Mapping[str, Table] = {name: {} for name in COUNTED} | {"lost": {bytes(4): bytes(24)}}
"""The maps of a counting that has just begun."""


@dataclass(slots=True)
class Vcpu:
    """One vCPU's state: ``struct vcpu_counts``."""

    key: VcpuKey
    tid: int
    seen: int = 0
    in_map: int = 0
    uncounted: int = 0
    recorded: int = 0
    dropped: int = 0
    last_record_seen: int = 0
    missed_faults: int = 0
    words: dict[int, list[int]] = field(default_factory=dict)
    exits: dict[tuple[int, int], int] = field(default_factory=dict)

    def pack(self, layout: Layout = COMPILED) -> bytes:
        """As the kernel has it."""
        fields = layout.value("slots")
        head = VcpuHead(
            *self.key,
            tid=self.tid,
            seen=self.seen,
            in_map=self.in_map,
            uncounted=self.uncounted,
            recorded=self.recorded,
            dropped=self.dropped,
            missed_faults=self.missed_faults,
        )
        data = bytearray(View.of(fields, VcpuHead).pack(head))
        syndromes, exits = fields.arrays["syndromes"], fields.arrays["exits"]
        for index, (word, counters) in enumerate(self.words.items()):
            item = View.of(syndromes.of, Syndrome).pack(Syndrome(word, PFERR, 1))
            item = View.of_counters(syndromes.of).pack(counters, over=item)
            start = syndromes.offset + index * len(item)
            data[start : start + len(item)] = item
        for index, (reason, count) in enumerate(self.exits.items()):
            item = View(exits.of, EXIT_REASON, tuple, {}).pack((*reason, count))
            start = exits.offset + index * len(item)
            data[start : start + len(item)] = item
        return bytes(data)


@dataclass(slots=True)
class Counting:
    """The maps and rings of one counting.

    ``in_place``: how many words a vCPU counts in its slot; ``room``: how many more find one in
    ``fault_counts``; ``ring_records``: how many the ring of faults holds. ``pause`` is called before each
    thing that a snapshot reads. ``layout``: of the maps. ``are_readable``: whether this version can read the
    records.
    """

    in_place: int = 8
    room: int = 1000
    ring_records: int = 1000
    pause: Callable[[], None] = lambda: None
    layout: Layout = COMPILED
    are_readable: bool = True
    views: Views = field(init=False)
    slots: dict[int, Vcpu] = field(default_factory=dict)
    overflow: dict[VcpuKey, Vcpu] = field(default_factory=dict)
    fault_counts: dict[FaultKey, list[int]] = field(default_factory=dict)
    exit_counts: dict[ExitKey, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_LOST, 0))
    missed_runs: int = 0
    faults: list[FaultRecord] = field(default_factory=list)
    exits: list[ExitRecord] = field(default_factory=list)
    forgotten: list[VmKey] = field(default_factory=list)
    _read: int = 0
    _released: int = 0
    _exits_read: int = 0
    _checkpoint: Checkpoint = field(init=False)

    def __post_init__(self) -> None:
        self.views = Views(self.layout)
        self._checkpoint = Checkpoint(
            counting=COUNTING,
            batch=0,
            monotonic_ns=START_NS,
            utc_ns=UTC_NS,
            missed_runs=0,
            tables=NOTHING,
            positions=Positions(exits=0, faults=0),
        )

    def fault(self, vcpu: Vcpu, word: int = 6, *, times: int = 1, record: bool = False) -> None:
        """Let a guest fault."""
        for _ in range(times):
            for _ in self.steps(vcpu, word, record=record):
                pass

    def steps(self, vcpu: Vcpu, word: int, *, record: bool) -> Iterator[None]:
        """One fault, stopped after each addition in the order of ``record_fault`` and ``count_fault``."""
        if record:
            yield from self._record(vcpu, word)
        counters = self._counters(vcpu, word)
        if counters is None:
            vcpu.uncounted += 1
            yield
            self.lost["keys_full"] += 1
        else:
            counters[0] += 1
            yield
            if word not in vcpu.words:
                vcpu.in_map += 1
        yield
        vcpu.seen += 1
        yield
        if counters is not None:
            counters[COUNTERS.index("mapped_4k")] += 1

    def leave(self, vcpu: Vcpu, reason: int, errno: int = 0) -> None:
        """Let KVM_RUN return."""
        vcpu.exits[reason, errno] = vcpu.exits.get((reason, errno), 0) + 1

    def snapshot(self) -> Snapshot:
        """As ``Probes.snapshot``."""
        return Snapshot(
            tables={name: self._paused_table(name) for name in COUNTED},
            missed_runs=self.missed_runs,
        )

    def records(self) -> Records:
        """As ``Probes.records``."""
        self.pause()
        faults = self._take()
        exits, self._exits_read = self.exits[self._exits_read :], len(self.exits)
        self.pause()
        return Records(
            faults=faults,
            exits=exits,
            positions=Positions(exits=self._exits_read, faults=self._read),
            is_drained=self._read == len(self.faults),
            are_readable=self.are_readable,
        )

    def reread(self, table: str, key: bytes) -> bytes | None:
        """As ``Probes.again``."""
        self.pause()
        return self._table(table).get(key)

    def take_faults(self) -> list[FaultRecord]:
        """As ``Probes.take_faults``."""
        taken = self._take()
        self._released = self._read
        return taken

    def last_checkpoint(self) -> Checkpoint:
        """As ``Probes.last_checkpoint``; whoever asks begins to read where the ring was released up to."""
        self._read = self._released
        return self._checkpoint

    def commit(self, checkpoint: Checkpoint) -> None:
        """As ``Probes.commit``."""
        names = (*COUNTED, MISSED_FAULTS)
        tables = {
            name: {**self._checkpoint.tables.get(name, {}), **checkpoint.tables[name]} for name in names
        }
        self._checkpoint = replace(checkpoint, tables=tables)
        self._read = max(self._read, checkpoint.positions.faults)
        self._released = checkpoint.positions.faults

    def vms(self) -> Mapping[VmKey, VmRecord]:
        """See ``Probes.vms``."""
        return {vm: VmRecord(0, 0, 1, "", "") for vm in self._vms()}

    def allow_timing(self, faults: int) -> None:
        """As ``Probes.allow_timing``: these maps have no stalls."""

    def forget(self, vms: Collection[VmKey]) -> None:
        """As ``Probes.forget``."""
        self.forgotten += vms
        self.slots = {place: vcpu for place, vcpu in self.slots.items() if vcpu.key[:2] not in vms}
        self.overflow = {key: vcpu for key, vcpu in self.overflow.items() if key[:2] not in vms}
        self.fault_counts = {key: one for key, one in self.fault_counts.items() if key[:2] not in vms}
        self.exit_counts = {key: one for key, one in self.exit_counts.items() if key[:2] not in vms}

    def slot(self, vcpu: int = 0, *, vm: VmKey = VM, tid: int = 500, place: int | None = None) -> Vcpu:
        """Settle a vCPU in a slot."""
        place = len(self.slots) if place is None else place
        self.slots[place] = Vcpu(VcpuKey(*vm, vcpu), tid)
        return self.slots[place]

    def overflowed(self, vcpu: int, *, vm: VmKey = VM) -> Vcpu:
        """Settle a vCPU whose thread has no slot for it."""
        key = VcpuKey(*vm, vcpu)
        self.overflow[key] = Vcpu(key, 0)
        return self.overflow[key]

    def _record(self, vcpu: Vcpu, word: int) -> Iterator[None]:
        if len(self.faults) - self._released >= self.ring_records:
            vcpu.dropped += 1
            yield
            return
        weight = vcpu.seen + 1 - vcpu.last_record_seen
        self.faults.append(
            FaultRecord(
                *vcpu.key[:2],
                *(START_NS + len(self.faults), word, 0x1000, 1, 0, weight),
                *(vcpu.key.vcpu, PFERR, 0, 1, 0, 0xFF),
            )
        )
        yield
        vcpu.recorded += 1
        vcpu.last_record_seen = vcpu.seen + 1
        yield

    def _counters(self, vcpu: Vcpu, word: int) -> list[int] | None:
        if word in vcpu.words:
            return vcpu.words[word]
        if len(vcpu.words) < self.in_place:
            return vcpu.words.setdefault(word, [0] * len(COUNTERS))
        key = fault_key(vcpu.key.vcpu, word, vm=VmKey(*vcpu.key[:2]))
        if key not in self.fault_counts and len(self.fault_counts) >= self.room:
            return None
        return self.fault_counts.setdefault(key, [0] * len(COUNTERS))

    def _take(self) -> list[FaultRecord]:
        taken, self._read = self.faults[self._read :], len(self.faults)
        return taken

    def _paused_table(self, name: str) -> Table:
        self.pause()
        return self._table(name)

    def _table(self, name: str) -> Table:
        layout, views = self.layout, self.views
        if name == "slots":
            return {place.to_bytes(4, "little"): vcpu.pack(layout) for place, vcpu in self.slots.items()}
        if name == "overflow":
            return {views.vcpu_key.pack(key): vcpu.pack(layout) for key, vcpu in self.overflow.items()}
        if name == "fault_counts":
            pack, counters = views.fault_key.pack, views.fault_counters
            return {pack(key): counters.pack(count) for key, count in self.fault_counts.items()}
        if name == "exit_counts":
            return {
                views.exit_key.pack(key): views.exit_count.pack(count)
                for key, count in self.exit_counts.items()
            }
        return views.lost.pack(self.lost, over=NOTHING["lost"])

    def _vms(self) -> set[VmKey]:
        return {VmKey(*vcpu.key[:2]) for vcpu in (*self.slots.values(), *self.overflow.values())}


def fault_key(vcpu: int, word: int, *, vm: VmKey = VM) -> FaultKey:
    """A key of ``fault_counts``."""
    return FaultKey(*vm, word, vcpu, PFERR)


def exit_key(vcpu: int, reason: int, errno: int = 0, *, vm: VmKey = VM) -> ExitKey:
    """A key of ``exit_counts``."""
    return ExitKey(*vm, vcpu, reason, errno)
