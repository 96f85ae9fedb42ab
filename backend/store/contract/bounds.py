# SPDX-License-Identifier: Apache-2.0
"""How much one batch may say. Each bound is one that no collector and no recording comes near.

What goes beyond is broken or was made up: such a batch can never be taken.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence, Sized
from itertools import chain
from operator import attrgetter

import msgspec

from backend.errors import BatchError
from faultmodel import arch
from faultmodel.record import COUNTERS, MAX_VCPU, Cost
from faultmodel.rows import column
from faultmodel.sections import OF_VCPUS
from faultmodel.wire import Batch

MAX_SEQUENCE = 2**40
"""A thousand batches a second for 35 years. Sums over streams must stay below 2**63."""
MAX_VMS = 4096
"""That live at once: as many as the collector's map in the kernel holds. A batch of 2 MiB describes 1024."""
MAX_WORDS = 16_384
"""Different words of one VM. Guests have some dozens; a collector's batch has 4096 rows of a VM."""
MAX_SPANS = 64
"""Each is merged on its own, while other hosts may wait: a collector sends one or two."""
MAX_LOSSES = 64
"""Of different kinds, of which there are a dozen."""
MAX_PROBES = 64
MAX_PROBE_CHARACTERS = 32_768
"""Of all probes: a status has those of every host."""
MAX_COSTS = 64
"""Each of a reading; a batch has one."""
MAX_COST = 2**48
"""Of ns (3 days), runs or bytes that all costs of a batch have together."""
MAX_AHEAD = 2**24
"""So many more of a VM's faults may have ended in a batch than began in it: a fault and its mapping may lie
in two batches, and a vCPU has one at a time.
"""
MAX_COUNT = 2**40
"""No batch counts more: at 10**12 something is broken, and sums over every batch must stay below 2**63."""

MAX_NS = 2**60
"""Of the times of one kind that a batch counts: 36 years of a vCPU. Two such sums are below 2**63."""
MAX_LOOKS = 4096
"""Of memslots, of causes, of VMs' pages and of livelocks in one batch: a collector cuts it before."""

MAX_OUTSTANDING = 256
"""Faults under way in one batch: a collector leaves the rest out."""

_OF_FAULTS = tuple(name for name in COUNTERS if name not in ("faults", "prefetched"))
"""Each of these a fault counts once at most."""


def check_bounds(batch: Batch) -> None:
    """Check that a batch says no more than one may. :raises BatchError: it does"""
    _check_most("sequence", max(batch.sequence, batch.part), MAX_SEQUENCE)
    counted: tuple[tuple[str, Sized, int], ...] = (
        ("VMs", batch.vms, MAX_VMS),
        ("covered spans", batch.covered, MAX_SPANS),
        ("losses", batch.lost, MAX_LOSSES),
        ("probes", batch.host.probes, MAX_PROBES),
        ("costs", batch.costs, MAX_COSTS),
        ("memslots", batch.memslots, MAX_LOOKS),
        ("causes", batch.causes, MAX_LOOKS),
        ("pages of VMs", batch.vm_pages, MAX_LOOKS),
        ("livelocks", batch.livelocks, MAX_LOOKS),
        ("faults under way", batch.outstanding, MAX_OUTSTANDING),
    )
    for name, items, most in counted:
        _check_most(f"number of {name}", len(items), most)
    for name, total in (
        ("faults seen", sum(column(batch.ledger, "seen"))),
        ("exits", sum(column(batch.exit_counts, "count"))),
        ("exits with a cause", sum(column(batch.causes, "count"))),
        ("things lost", sum(column(batch.lost, "count"))),
    ):
        _check_most(f"number of {name}", total, MAX_COUNT)
    characters = sum(len(text) for probe in batch.host.probes for text in msgspec.structs.astuple(probe))
    _check_most("number of its probes' characters", characters, MAX_PROBE_CHARACTERS)
    for section in OF_VCPUS:
        _check_most("vCPU", max(column(section.rows(batch), "vcpu"), default=0), MAX_VCPU)
    if len(batch.fault_counts) > MAX_WORDS:
        _check_words(batch)
    _check_costs(batch.costs)


def counted_in(batch: Batch) -> int:
    """Return how much a batch counts: faults, their counters, exits and losses.

    :raises BatchError: a VM's faults have higher counters than they can have
    """
    totals: dict[str, int] = {
        name: sum(column(batch.fault_counts, name)) for name in COUNTERS if name != "faults"
    }
    for name, total in totals.items():
        _check_most(name, total, MAX_COUNT)
    if max(totals[name] for name in _OF_FAULTS) > MAX_AHEAD:
        _check_balance(batch)
    seen: int = sum(column(batch.ledger, "seen"))
    others: int = sum(chain(column(batch.exit_counts, "count"), column(batch.lost, "count")))
    return seen + others + sum(totals.values())


def _check_balance(batch: Batch) -> None:
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for item in batch.fault_counts:
        sums[item.vm].update({name: getattr(item, name) for name in ("faults", *_OF_FAULTS)})
    for vm_id, of_vm in sums.items():
        for name in _OF_FAULTS:
            what_has = f"{name} of VM {vm_id}, of {of_vm['faults']} faults,"
            _check_most(what_has, of_vm[name], of_vm["faults"] + MAX_AHEAD)


def _check_words(batch: Batch) -> None:
    architecture = arch.get(batch.arch)
    names = ["vm", architecture.word_field]
    if architecture.format_field is not None:
        names.append(architecture.format_field)
    words: dict[str, int] = defaultdict(int)
    for vm_id, *_ in set(map(attrgetter(*names), batch.fault_counts)):
        words[vm_id] += 1
    for vm_id, number in words.items():
        _check_most(f"number of words of VM {vm_id}", number, MAX_WORDS)


def _check_costs(costs: Sequence[Cost]) -> None:
    for cost in costs:
        if cost.to_ns < cost.from_ns:
            raise BatchError(f"cost ends at {cost.to_ns} before it begins at {cost.from_ns}")
    for name, total in (
        ("time", sum(cost.to_ns - cost.from_ns for cost in costs)),
        ("cpu_ns", sum(cost.cpu_ns for cost in costs)),
        ("resident_bytes", sum(cost.resident_bytes for cost in costs)),
        ("program_ns", sum(cost.program_ns or 0 for cost in costs)),
        ("program_runs", sum(cost.program_runs or 0 for cost in costs)),
    ):
        _check_most(f"{name} of its costs", total, MAX_COST)


def _check_most(what: str, value: int, most: int) -> None:
    if value > most:
        raise BatchError(f"{what} is {value} in one batch, more than the {most} that there can be")
