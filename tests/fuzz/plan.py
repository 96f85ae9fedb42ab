# SPDX-License-Identifier: Apache-2.0
"""What a VMM of the fuzz does, made of a seed: the same seed, the same plan."""

import random
from dataclasses import dataclass
from enum import StrEnum

PAGES = 1024
"""In a region of a guest; no step takes more, and half as many while descriptors are swapped."""

ERRORS = 64
"""In the region that no guest may touch."""


class Threads(StrEnum):
    """Which threads run a VM's vCPUs."""

    OWN = "own"  # one each, as in every VMM
    NEW = "new"  # a new one for each KVM_RUN
    SHARED = "shared"  # one for all


class Swap(StrEnum):
    """What becomes of the descriptor of a vCPU while KVM_RUN is under way."""

    NOT = "not"
    NULL = "null"  # it is /dev/null's
    OTHER = "other"  # it is that of another vCPU of the VM


class End(StrEnum):
    """How a VMM ends."""

    CLOSED = "closed"  # each VM is closed
    LEFT = "left"  # the process ends without
    KILLED = "killed"  # while its guests fault


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a VM does: ``counts`` are pages by vCPU; ``op`` is an Op's name, or ``error``."""

    op: str
    counts: tuple[int, ...]
    swap: Swap


@dataclass(frozen=True, slots=True)
class VmPlan:
    """What one VM does."""

    vcpus: int
    threads: Threads
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one VMM does: its VMs, so many at a time. ``kill_after_s`` is from its first guest on."""

    seed: int
    vms: tuple[VmPlan, ...]
    at_a_time: int
    end: End
    kill_after_s: float

    @property
    def is_honest(self) -> bool:
        """Whether no descriptor is swapped: then each vCPU has all of its faults."""
        return all(step.swap is Swap.NOT for vm in self.vms for step in vm.steps)


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed."""
    source = random.Random(seed)
    end = source.choices(tuple(End), (5, 2, 3))[0]
    swap = source.choices(tuple(Swap), (6, 1, 1))[0]
    count = source.randint(1, 14)
    vms = tuple(_vm(source, swap) for _ in range(count))
    return Plan(seed, vms, source.randint(1, 4), end, source.uniform(0.0, 0.6))


def _vm(source: random.Random, swap: Swap) -> VmPlan:
    vcpus = source.choices((1, 2, 3, 8), (4, 4, 2, 1))[0]
    threads = source.choice(tuple(Threads))
    # Where one thread runs all vCPUs the descriptors of those to come have to be right.
    possible = Swap.NOT if threads is Threads.SHARED else swap
    steps = tuple(_step(source, vcpus, possible) for _ in range(source.randint(1, 8)))
    return VmPlan(vcpus, threads, steps)


def _step(source: random.Random, vcpus: int, swap: Swap) -> Step:
    op = source.choices(("write", "read", "execute", "error"), (4, 2, 2, 1))[0]
    # Another vCPU's descriptor is there only with another vCPU.
    if op == "write" and (vcpus > 1 or swap is not Swap.OTHER) and source.random() < 0.5:
        return Step(op, _counts(source, vcpus, PAGES // 2), swap)
    return Step(op, _counts(source, vcpus, ERRORS if op == "error" else PAGES), Swap.NOT)


def _counts(source: random.Random, vcpus: int, most: int) -> tuple[int, ...]:
    most = source.choice((7, most))
    return tuple(source.randint(0, most) for _ in range(vcpus))
