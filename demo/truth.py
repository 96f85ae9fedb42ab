# SPDX-License-Identifier: Apache-2.0
"""What a guest did, as a tracer should find it."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from demo.machine import Op


class ExitKind(StrEnum):
    """The two ways in which KVM_RUN fails over memory."""

    MEMORY_FAULT = "memory_fault"
    BARE_ERROR = "bare_error"


@dataclass(frozen=True, slots=True)
class ExitTruth:
    """One KVM_RUN that failed over memory.

    ``gpa``, ``size`` and ``flags`` are what KVM reported: nothing, for a bare error. ``touched`` is the
    guest-physical address that the guest was at.
    """

    vcpu: int
    kind: ExitKind
    op: Op
    reason: int
    errno: int
    touched: int
    gpa: int | None = None
    size: int | None = None
    flags: int | None = None


@dataclass(slots=True)
class VcpuTruth:
    """What one vCPU did. Only faults that KVM mapped are counted here, those that failed are ``exits``.

    With EPT, NPT or arm64's stage 2 the hardware's words of failed ones are traced too (``kvm_page_fault``,
    ``kvm_guest_fault``).
    """

    vcpu: int
    read: int = 0
    write: int = 0
    execute: int = 0
    exits: list[ExitTruth] = field(default_factory=list)

    def add(self, op: Op, faults: int) -> None:
        """Add faults of one kind."""
        match op:
            case Op.READ:
                self.read += faults
            case Op.WRITE:
                self.write += faults
            case Op.EXECUTE:
                self.execute += faults


@dataclass(frozen=True, slots=True)
class ExtraFaults:
    """Faults of the guest's own pages, one each, which its vCPU 0 takes before all others.

    Their sum holds everywhere. Where the hardware walks x86's page tables (EPT, NPT), its four walks to the
    first page fault as writes of a page table, and so four fewer as reads. An arm64 guest has no tables.
    """

    read: int
    write: int
    execute: int
    why: str

    def __add__(self, other: "ExtraFaults") -> "ExtraFaults":
        return ExtraFaults(
            self.read + other.read, self.write + other.write, self.execute + other.execute, other.why
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """What one guest did between two times (nanoseconds since 1970)."""

    pid: int
    name: str
    begin_ns: int
    end_ns: int
    extra_faults: ExtraFaults
    vcpus: list[VcpuTruth]

    def to_json(self) -> str:
        """Return it as one line of JSON. Addresses are plain integers: all are below 2^53."""
        return json.dumps(asdict(self))
