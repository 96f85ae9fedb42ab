# SPDX-License-Identifier: Apache-2.0
"""What tracing costs on hosts: CPU, time of the BPF programs for each fault, memory."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.errors import ParameterError
from backend.query.grid import MAX_VALUES
from backend.query.uncovered import Uncovered, uncovered_of_hosts
from backend.store.contract.accounts import CostPoint
from backend.store.contract.store import Store
from backend.store.contract.values import Steps

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """A host's cost, over a span of which part is accounted for. None where there is nothing to divide by.

    ``cpu_percent``: of one core, the collector's process. ``program_cpu_percent``: of one core, its BPF
    programs, which run in the vCPUs' threads. ``program_*`` is of the time in which they were measured.
    ``resident_bytes``: the most that the process had.
    """

    cpu_percent: float
    program_cpu_percent: float | None
    program_ns_per_fault: float | None
    program_ns_per_run: float | None
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class HostCosts:
    """A host's cost in each step of a grid, None where no cost was reported."""

    host: str
    steps: Sequence[Cost | None]


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs by host.

    ``kept_from_ms``: where the grid begins before they are kept in such steps, from when on they are.
    """

    hosts: Sequence[HostCosts]
    kept_from_ms: int | None
    uncovered: Sequence[Uncovered]


def costs(store: Store, names: Sequence[str] | None, grid: Steps, now_ms: int) -> Costs:
    """Return the costs of hosts, or of every host that reported any in the grid's range, by name.

    :raises NotFoundError: there is no such host
    :raises ParameterError: the answer would be too large
    """
    with store.snapshot():
        levels = store.kept_levels(names)
        counted = levels.kept_steps(grid)
        points = store.costs(names, counted)
        uncovered = uncovered_of_hosts(store, names, grid.span, now_ms)
    by_host: dict[str, dict[int, Cost]] = defaultdict(dict)
    for point in points:
        by_host[point.host][point.step_start_ms] = cost_of(point)
    for name in names or ():
        by_host.setdefault(name, {})
    if len(by_host) * len(grid.starts_ms) > MAX_VALUES:
        raise ParameterError("step", f"{len(by_host)} hosts and {len(grid.starts_ms)} points; ask for fewer")
    found = [
        HostCosts(name, [steps.get(start) for start in grid.starts_ms])
        for name, steps in sorted(by_host.items())
    ]
    return Costs(found, None if counted == grid else levels.begins_ms(grid), uncovered)


def recent_costs(store: Store, now_ms: int, span_ms: int) -> Mapping[str, Cost]:
    """Return the cost of each host that reported any in the last ``span_ms``, by the host's name."""
    points = store.costs(None, Steps(now_ms - span_ms, now_ms, span_ms))
    return {point.host: cost_of(point) for point in points}


def cost_of(point: CostPoint) -> Cost:
    """Return what a step's sums say."""
    return Cost(
        cpu_percent=point.cpu_ns * _PERCENT / point.wall_ns,
        program_cpu_percent=_ratio(point.program_ns * _PERCENT, point.measured_ns),
        program_ns_per_fault=_ratio(point.program_ns, point.measured_seen),
        program_ns_per_run=_ratio(point.program_ns, point.program_runs),
        resident_bytes=point.resident_bytes,
    )


def _ratio(value: int, by: float) -> float | None:
    return value / by if by else None
