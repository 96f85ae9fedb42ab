# SPDX-License-Identifier: Apache-2.0
"""The sections of a batch, each listed once. Cutting, encoding, decoding and checking follow from the list.

A new section takes a row type, a field of ``Content`` and a line of ``SECTIONS``. The store lists what stores
each section; a test that stores a batch with a row in each fails where a section is missing there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from msgspec import Struct

from faultmodel.record import Cost, ExitCount, HostEvent, LedgerEntry, Loss, Span, Vm
from faultmodel.record_answers import RecordAnswer
from faultmodel.record_livelocks import Livelock
from faultmodel.record_looks import KvmCount, Memslot, VmPages
from faultmodel.record_outstanding import Outstanding, OutstandingLook
from faultmodel.record_stalls import (
    CauseCount,
    HostPressure,
    Pressure,
    StallCount,
    StallEntry,
    VcpuStall,
    WaitCount,
)
from faultmodel.rows import column

MAX_ROWS = 200_000
MAX_HOST_ROWS = 1000


class Of(StrEnum):
    """What a row is about."""

    HOST = "host"
    VM = "vm"
    """It has a field ``vm``, with the id of a VM that the batch describes."""
    VCPU = "vcpu"
    """It has ``vm``, and a field ``vcpu``."""


class Time(StrEnum):
    """The field with a row's time, for rows that have exactly one."""

    SECOND = "bucket_ms"
    MOMENT = "time_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The rows of a batch; ``Batch`` adds which reading they are of. A VM that a row names is in ``vms``.

    ``fault_counts``, ``faults`` and ``exits`` hold the ``fault_count``, ``fault`` and ``exit`` records of an
    architecture; ``faults`` are those guest faults that were recorded one by one.
    """

    covered: Sequence[Span] = ()
    vms: Sequence[Vm] = ()
    fault_counts: Sequence[Any] = ()
    faults: Sequence[Any] = ()
    exit_counts: Sequence[ExitCount] = ()
    exits: Sequence[Any] = ()
    ledger: Sequence[LedgerEntry] = ()
    lost: Sequence[Loss] = ()
    events: Sequence[HostEvent] = ()
    costs: Sequence[Cost] = ()
    stalls: Sequence[StallCount] = ()
    vcpu_stalls: Sequence[VcpuStall] = ()
    stall_ledger: Sequence[StallEntry] = ()
    waits: Sequence[WaitCount] = ()
    pressures: Sequence[Pressure] = ()
    host_pressures: Sequence[HostPressure] = ()
    causes: Sequence[CauseCount] = ()
    memslots: Sequence[Memslot] = ()
    kvm_counts: Sequence[KvmCount] = ()
    vm_pages: Sequence[VmPages] = ()
    record_answers: Sequence[RecordAnswer] = ()
    livelocks: Sequence[Livelock] = ()
    outstanding: Sequence[Outstanding] = ()
    outstanding_looks: Sequence[OutstandingLook] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A field of ``Content``.

    ``row``: the type of its rows, or the field of ``Architecture`` that has the type. ``most``: how many rows
    it may have. ``row_bytes``: the most that a row may take encoded, for sections that are cut to size.
    ``since``: the wire version from which on batches have it.
    """

    name: str
    row: type[Struct] | str
    of: Of = Of.HOST
    time: Time | None = None
    has_texts: bool = False
    most: int = MAX_ROWS
    row_bytes: int = 0
    since: int = 0

    @property
    def is_architectures(self) -> bool:
        """Whether each architecture has rows of its own."""
        return isinstance(self.row, str)

    def rows(self, content: Content) -> Sequence[Any]:
        """Return its rows."""
        rows: Sequence[Any] = getattr(content, self.name)
        return rows


_SECOND, _MOMENT = Time.SECOND, Time.MOMENT
SECTIONS = (
    Section(name="covered", row=Span),
    Section(name="vms", row=Vm, has_texts=True, row_bytes=2048),
    Section(name="fault_counts", row="fault_count", of=Of.VCPU, time=_SECOND, row_bytes=160),
    Section(name="faults", row="fault", of=Of.VCPU, time=_MOMENT, row_bytes=160),
    Section(name="exit_counts", row=ExitCount, of=Of.VCPU, time=_SECOND, row_bytes=64),
    Section(name="exits", row="exit", of=Of.VCPU, time=_MOMENT, row_bytes=512),
    Section(name="ledger", row=LedgerEntry, of=Of.VM, time=_SECOND),
    Section(name="lost", row=Loss, has_texts=True),
    Section(name="events", row=HostEvent, has_texts=True, most=MAX_HOST_ROWS),
    Section(name="costs", row=Cost, most=MAX_HOST_ROWS),
    Section(name="stalls", row=StallCount, of=Of.VM, time=_SECOND, row_bytes=112, since=5),
    Section(name="vcpu_stalls", row=VcpuStall, of=Of.VCPU, time=_SECOND, row_bytes=88, since=5),
    Section(name="stall_ledger", row=StallEntry, of=Of.VM, time=_SECOND, since=5),
    Section(name="waits", row=WaitCount, of=Of.VM, time=_SECOND, has_texts=True, row_bytes=360, since=5),
    Section(name="pressures", row=Pressure, of=Of.VM, time=_SECOND, row_bytes=48, since=5),
    Section(name="host_pressures", row=HostPressure, time=_SECOND, most=MAX_HOST_ROWS, since=5),
    Section(name="causes", row=CauseCount, of=Of.VCPU, time=_MOMENT, has_texts=True, row_bytes=1160, since=5),
    Section(name="memslots", row=Memslot, of=Of.VM, time=_MOMENT, has_texts=True, row_bytes=920, since=5),
    Section(name="kvm_counts", row=KvmCount, of=Of.VM, time=_SECOND, row_bytes=104, since=5),
    Section(name="vm_pages", row=VmPages, of=Of.VM, time=_MOMENT, row_bytes=100, since=5),
    Section(name="record_answers", row=RecordAnswer, time=_MOMENT, most=64, since=5),
    Section(name="livelocks", row=Livelock, of=Of.VCPU, time=_MOMENT, row_bytes=160, since=5),
    Section(
        name="outstanding", row=Outstanding, of=Of.VCPU, time=_MOMENT, has_texts=True, row_bytes=400, since=5
    ),
    Section(name="outstanding_looks", row=OutstandingLook, time=_MOMENT, most=64, since=5),
)
OF_HOST = tuple(section for section in SECTIONS if section.of is Of.HOST and section.row is not Vm)
"""Those that are about the host alone."""
OF_VMS = tuple(section for section in SECTIONS if section.of is not Of.HOST)
"""Those whose rows name a VM."""
OF_VCPUS = tuple(section for section in SECTIONS if section.of is Of.VCPU)
"""Those whose rows name a vCPU, too."""


def rows_of(content: Content) -> dict[str, Any]:
    """Return each section's rows by its name, as tuples."""
    return {section.name: tuple(section.rows(content)) for section in SECTIONS}


def vm_ids_of(content: Content) -> set[str]:
    """Return the VMs that the rows name. A batch has many rows and few VMs."""
    return {vm_id for section in OF_VMS for vm_id in set(column(section.rows(content), "vm"))}


def timed(time: Time) -> Iterator[Section]:
    """Yield the sections whose rows have their time in this field."""
    return (section for section in SECTIONS if section.time is time)
