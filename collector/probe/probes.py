# SPDX-License-Identifier: Apache-2.0
"""One set of programs and maps: attaching, starting and reading it, and saying what it records."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.errors import ProbeError
from collector.probe import compiled, shedding, syscall
from collector.probe.checkpoints import Checkpoints
from collector.probe.compiled import Layout
from collector.probe.handles import PERF, Handles
from collector.probe.instant import Instant, now
from collector.probe.layout import (
    CONCERNS,
    LAYOUT_MAP,
    SWITCH,
    About,
    FaultRecord,
    RecordLevel,
    RecordOrder,
    VmKey,
    VmRecord,
)
from collector.probe.maps import INDEX, Maps
from collector.probe.plan import Plan
from collector.probe.rings import Rings
from collector.probe.shedding import pinned_name
from collector.probe.slots import Slots
from collector.probe.snapshot import (
    COUNTED,
    COUNTED_STALLS,
    COUNTED_WAITS,
    Checkpoint,
    Positions,
    Records,
    Snapshot,
    Table,
)
from collector.probe.source import Source
from collector.probe.views import Views

_GENERATIONS = 2**32 - 1
_ORDERS = 2**16
_OF_VMS = ("vms", "overflow_threads", "record_orders", "overflow", "fault_counts", "exit_counts")
"""Maps whose keys or values name the VM, in the order in which a VM's entries are deleted: maps that
attribute faults come before maps that count them."""
_OF_VMS_COUNTED = tuple(name for name in _OF_VMS if name != "record_orders")
_OF_STALLS = ("stall_overflow", "stall_counts", *COUNTED_WAITS)
_WITH_CHECKPOINT = ("overflow", "fault_counts", "exit_counts", *_OF_STALLS)


class Probes:
    """One counting: a set of programs and maps. For one thread."""

    def __init__(
        self,
        handles: Handles,
        layout: Layout | None = None,
        readable: Collection[str] = tuple(CONCERNS),
        folder: Path | None = None,
    ) -> None:
        """See ``load`` and ``open_pinned``.

        :param handles: are this object's from here on
        :param layout: how the maps are laid out, where it was read before; else their map of that name says
        :param readable: the concerns of the set that this version can read: COUNTS, and what else there is
        :param folder: in bpffs, where it is pinned
        :raises PinnedError: they lack what must be read
        """
        self._handles = handles
        self._folder = folder
        by_name = {name: syscall.open_map(fd) for name, fd in handles.maps.items()}
        self._views = Views(layout or compiled.read(by_name[LAYOUT_MAP]), readable)
        self._maps = Maps(by_name, self._views)
        self._slots = Slots(self._maps["slots"], self._views.vcpu)
        stalls, records = self._views.stalls, self._views.records
        self._stalls = None if stalls is None else Slots(self._maps["stall_slots"], stalls.vcpu)
        self._rings = None if records is None else Rings(by_name, records)
        self._checkpoints = Checkpoints(self._maps, self._rings)
        about = self._maps.about()
        self._unread = Records(
            faults=(),
            exits=(),
            positions=Positions(exits=about.exits_position, faults=about.faults_position),
            is_drained=True,
            are_readable=False,
        )
        self._vms: dict[VmKey, VmRecord] = {}
        self._vms_by_bytes: dict[bytes, tuple[bytes, VmKey, VmRecord]] = {}
        self._vm_blocks: list[tuple[bytes, bytes]] = []
        self._attached = bool(handles.links)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def handles(self) -> Handles:
        """The file descriptors."""
        return self._handles

    @property
    def views(self) -> Views:
        """How the maps' keys and values are read."""
        return self._views

    @property
    def is_attached(self) -> bool:
        """Whether this process has attached the programs."""
        return self._attached

    def attach(self, plan: Plan) -> None:
        """Attach a new set's programs. They count nothing before ``begin``.

        :raises ProbeError: the kernel refuses
        """
        if plan.flavour.fires_page_fault:
            self._maps.set_value("page_fault_seen", INDEX.pack(1))
        self._handles = self._handles.attach(plan.attach)
        self._attached = True

    def begin(self, source: Source, predecessor: Self | None = None) -> Instant:
        """Give this counting an id and start it; return from when on it covers the time.

        :param predecessor: the set that these programs were loaded to replace; it stops at this moment. A
            fault in progress at that moment may be counted by both
        """
        generation = 1 if predecessor is None else predecessor.own_generation() % _GENERATIONS + 1
        goes_on = predecessor is not None and predecessor.is_counting()
        self._maps.set_value("own_generation", self._views.generation.pack(generation))
        began = now()
        self._maps.set_value("active_generation", self._views.generation.pack(generation))
        if not goes_on:
            # This process may have been preempted before the write, and nothing counted until then.
            began = now()
        self._maps.set_about(
            About(
                counting=uuid.uuid4().bytes,
                fingerprint=source.fingerprint,
                batch=0,
                checkpoint_monotonic_ns=began.monotonic_ns,
                checkpoint_utc_ns=began.utc_ns,
                missed_runs=0,
                exits_position=0,
                faults_position=0,
            )
        )
        return began

    def pause(self) -> Instant:
        """Stop counting at once, which is faster than ``detach``; return until when it covers the time."""
        paused = now()
        self._maps.set_value("active_generation", self._views.generation.pack(0))
        return paused

    def own_generation(self) -> int:
        """Return the generation of this set: it counts while ``active_generation`` has this value."""
        return self._views.generation.unpack(self._maps.value("own_generation"))

    def is_counting(self) -> bool:
        """Return whether the active generation is this set's own."""
        return self._maps.value("active_generation") == self._maps.value("own_generation")

    def is_of(self, source: Source) -> bool:
        """Return whether these programs are exactly the source's, and all of their maps can be read."""
        return self._rings is not None and self._maps.about().fingerprint == source.fingerprint

    def raw_side_only(self) -> Mapping[str, int]:
        """Return how many events of each tracepoint only the raw side has seen (sides.bpf.h)."""
        view = self._views.raw_side_only
        # A set of a version that took none has no such map.
        return {} if view is None else view.unpack(self._maps.array("raw_side_only"))

    def snapshot(self) -> Snapshot:
        """Read the counters.

        :raises ProbeError: the kernel refuses; nothing is lost by reading again
        """
        try:
            names = COUNTED if self._stalls is None else (*COUNTED_WAITS, *COUNTED_STALLS, *COUNTED)
            return Snapshot(
                tables={name: self._table(name) for name in names},
                missed_runs=self._missed_runs(),
                switches_since_ns=None if SWITCH in self.shed else shedding.switches_since_ns(self._maps),
            )
        except OSError as exc:
            raise ProbeError(f"cannot read the probes' maps: {exc.strerror}") from exc

    def places(self) -> Sequence[int]:
        """Return the places of the slots that the newest snapshot has."""
        return self._slots.places

    def records(self) -> Records:
        """Read the records that wait; ``commit`` releases them.

        :raises PinnedError: they are not what the layout says
        """
        return self._unread if self._rings is None else self._rings.read()

    def vms(self) -> Mapping[VmKey, VmRecord]:
        """Read the VMs. Call it last: it then has every VM of the counts and records that were read before.

        It returns the same object until something changes.

        :raises ProbeError: the kernel refuses; nothing is lost by reading again
        """
        try:
            return self._read_vms()
        except OSError as exc:
            raise ProbeError(f"cannot read the probes' maps: {exc.strerror}") from exc

    def reread(self, table: str, key: bytes) -> bytes | None:
        """Read one vCPU's counts or stalls again. :param table: its table's name in a snapshot"""
        if table == "slots":
            return self._slots.read(key)
        if table == "stall_slots" and self._stalls is not None:
            return self._stalls.read(key)
        return syscall.lookup(self._maps[table], key)

    def stack(self, number: int) -> tuple[int, ...]:
        """Return the return addresses of a kernel stack, the innermost first; none where it is not known.

        :raises ProbeError: the kernel refuses
        """
        if self._stalls is None:
            return ()
        try:
            found = syscall.lookup(self._maps["stacks"], INDEX.pack(number))
        except OSError as exc:
            raise ProbeError(f"cannot read the probes' maps: {exc.strerror}") from exc
        return () if found is None else tuple(filter(None, memoryview(found).cast("Q")))

    def allow_timing(self, faults: int) -> None:
        """Let each vCPU take the time of so many faults more, and note its longest stall anew."""
        views = self._views.stalls
        if views is not None and self._stalls is not None:
            self._slots.write_all(views.timed_left, faults)
            self._stalls.write_all(views.vcpu.longest_ns, 0)

    def take_faults(self) -> list[FaultRecord]:
        """Read the fault records and release them at once, so that the ring does not fill up.

        :raises PinnedError: they are not what the layout says
        """
        return [] if self._rings is None else self._rings.take_faults()

    @property
    def wakeup_fd(self) -> int:
        """Becomes readable when the ring of fault records should be emptied before the next reading."""
        return self._maps["fault_records"].fd

    @property
    def exits_fd(self) -> int:
        """Becomes readable at the first memory-fault or bare error exit after a reading."""
        return self._maps["exit_records"].fd

    def last_checkpoint(self) -> Checkpoint:
        """See ``Checkpoints.last``."""
        return self._checkpoints.last()

    def can_commit(self, checkpoint: Checkpoint) -> bool:
        """See ``Checkpoints.can_commit``."""
        return self._checkpoints.can_commit(checkpoint)

    def commit(self, checkpoint: Checkpoint) -> None:
        """See ``Checkpoints.commit``."""
        self._checkpoints.commit(checkpoint)

    def record(self, level: RecordLevel, spacing_ns: int, of_vms: Mapping[VmKey, RecordLevel]) -> None:
        """Say which guest faults are to be recorded, unless this set's records cannot be read.

        :param spacing_ns: least time between two records of one VM that is sampled
        :param of_vms: exceptions for single VMs
        :raises ProbeError: the kernel refuses
        """
        views = self._views.records
        if views is None:
            return
        orders = self._maps["record_orders"]
        try:
            vm_view, order = self._views.vm, views.order
            self._maps.set_value("record_default", order.pack(RecordOrder(spacing_ns, level, bool(of_vms))))
            wanted = {
                vm_view.pack(vm): order.pack(RecordOrder(spacing_ns, of, 0)) for vm, of in of_vms.items()
            }
            for key, _ in list(syscall.entries(orders)):
                if key not in wanted:
                    syscall.delete(orders, key)
            syscall.update_all(orders, wanted)
            number = views.orders_number.unpack(self._maps.value("orders_number"))
            # Last: a program that sees the new number sees the new orders.
            self._maps.set_value("orders_number", views.orders_number.pack((number + 1) % _ORDERS))
        except OSError as exc:
            raise ProbeError(f"cannot say what to record: {exc.strerror}") from exc

    def program_cost(self) -> Mapping[str, syscall.Runs]:
        """Return each program's runs, as far as the kernel measured them."""
        return {name: syscall.program_runs(fd) for name, fd in self._handles.programs.items()}

    @property
    def shed(self) -> frozenset[str]:
        """The programs that are detached, also from what is pinned, while the others count."""
        return shedding.shed_of(self._handles) if self._attached else frozenset()

    def shed_one(self, name: str) -> None:
        """Detach one of the programs SHEDDABLE.

        :raises OSError: it cannot be unpinned, and is still attached
        """
        self._handles = shedding.detached(self._handles, name, self._folder)

    def restore(self, name: str) -> None:
        """Attach a program that was shed seconds ago. If this process is killed meanwhile, it stays shed.

        :raises OSError: the kernel refuses; it stays shed
        """
        if name == SWITCH:
            shedding.begin_sleeps_anew(self._maps, self._checkpoints)
        self._handles = shedding.attached_again(self._handles, name, self._folder)

    def forget(self, vms: Collection[VmKey]) -> None:
        """Remove ended VMs' keys. Their counts must have been read before.

        :raises ProbeError: the kernel refuses
        """
        gone = frozenset(vms)
        try:
            of_vms = _OF_VMS if self._views.records is not None else _OF_VMS_COUNTED
            for name in of_vms if self._stalls is None else (*of_vms, *_OF_STALLS):
                in_value = name == "overflow_threads"
                owner = self._views.owner(name, in_value=in_value)
                for key, value in self._maps.entries(name):
                    if owner.unpack(value if in_value else key) in gone:
                        if name == "pressures":
                            self._note_gone(value)
                        syscall.delete(self._maps[name], key)
                        # The count first: a checkpoint without a count does no harm.
                        if name in _WITH_CHECKPOINT:
                            self._checkpoints.forget(name, key)
            self._checkpoints.forget_missed_faults(gone)
            # Before a thread can claim the slots.
            for key in () if self._stalls is None else self._stalls.free(gone):
                self._checkpoints.forget("stall_slots", key)
            for key in self._slots.free(gone):
                syscall.delete(self._maps["slot_owners"], key)
                self._checkpoints.forget("slots", key)
        except OSError as exc:
            raise ProbeError(f"cannot remove ended VMs: {exc.strerror}") from exc

    def pin(self, folder: Path, newest_batch: int) -> None:
        """Pin the programs and maps in a folder in bpffs, so that they outlive this process.

        :param newest_batch: number of this collector's newest batch, of whatever counting
        :raises OSError: not everything could be pinned; what was pinned stays
        """
        self._maps.set_about(self._maps.about()._replace(batch=newest_batch))
        folder.mkdir(mode=0o700, parents=True)
        for name, fd in self._handles.all().items():
            syscall.pin(fd, folder / pinned_name(name))
        self._folder = folder

    def detach(self) -> None:
        """Detach the programs, except pinned ones. The maps can still be read."""
        if self._attached:
            self._handles.detach()
            self._attached = False

    def close(self) -> None:
        """Detach the programs, except pinned ones, and close the maps."""
        self.detach()
        self._slots.close()
        if self._stalls is not None:
            self._stalls.close()
        if self._rings is not None:
            self._rings.close()
        self._handles.close()

    def _missed_runs(self) -> int:
        """How many events the kernel skipped: on both sides, if a tracepoint has two (sides.bpf.h).

        ``raw_side_only``, the events that only the perf side was skipped for, is read last, since a thread
        may be between its two programs.
        """
        programs = self._handles.programs
        # A set may have programs that this version does not know.
        of_counts = self._views.programs
        known = {name: fd for name, fd in programs.items() if name.removeprefix(PERF) in of_counts}
        missed = {name: syscall.program_runs(fd).missed for name, fd in known.items()}
        caught = {f"{PERF}{name}": number for name, number in self.raw_side_only().items()}
        return sum(
            max(0, number - caught.get(name, 0))
            for name, number in missed.items()
            if f"{PERF}{name}" not in programs
        )

    def _table(self, name: str) -> Table:
        if name == "pressures" and SWITCH in self.shed:
            return {}
        if name == "slots":
            return self._slots.read_all()
        if name == "stall_slots" and self._stalls is not None:
            return self._stalls.read_all()
        if name == "lost":
            return self._maps.array(name)
        return dict(self._maps.entries(name))

    def _note_gone(self, pressure: bytes) -> None:
        """Have the host's pressure no longer wait for the vCPUs of a VM that has ended (wait.bpf.h)."""
        views = self._views.waits
        if views is not None:
            number = views.gone_vcpus.unpack(self._maps.value("gone_vcpus"))
            number += views.pressure.unpack(pressure).number
            self._maps.set_value("gone_vcpus", views.gone_vcpus.pack(number))

    def _read_vms(self) -> dict[VmKey, VmRecord]:
        blocks = list(syscall.blocks(self._maps["vms"]))
        # There may be hundreds, and mostly none begins or ends from one reading to the next.
        if blocks == self._vm_blocks:
            return self._vms
        known = self._vms_by_bytes
        self._vms_by_bytes = {}
        for key, value in syscall.entries_of(self._maps["vms"], blocks):
            entry = known.get(key)
            if entry is None or entry[0] != value:
                entry = (value, self._views.vm.unpack(key), self._views.vm_record.unpack(value))
            self._vms_by_bytes[key] = entry
        self._vm_blocks = blocks
        self._vms = {vm: record for _, vm, record in self._vms_by_bytes.values()}
        return self._vms
