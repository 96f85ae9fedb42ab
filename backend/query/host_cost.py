# SPDX-License-Identifier: Apache-2.0
"""What tracing costs on a host: CPU, time of the BPF programs for each fault, memory."""

from collections.abc import Mapping
from dataclasses import dataclass

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
