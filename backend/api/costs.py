# SPDX-License-Identifier: Apache-2.0
"""What tracing costs."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.parameters import InSteps, OfHosts
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned
from backend.query.costs import HostCosts, costs

router = APIRouter(prefix="/api/v1/costs", tags=["Hosts"], route_class=ReadingRoute)


class CostsParameters(OfHosts, InSteps):
    """Whose costs, and when."""


@router.get("", responses=reader_problems(404))
def chart_costs(services: ServicesDep, asked: Annotated[CostsParameters, Query()]) -> schemas.Costs:
    """Chart what tracing costs on each host, over from..to (default: the last 15 min) in whole steps."""
    hosts = asked.hosts_of(services.store)
    grid = asked.grid(services.now_ms, services.store.kept_levels(hosts))
    found = costs(services.sources, hosts, grid, services.now_ms)
    return schemas.Costs(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        hosts=[_body(item) for item in found.hosts],
        kept_from_ms=found.kept_from_ms,
        **warned(grid.span, found.kept_from_ms, found.uncovered),
    )


def _body(item: HostCosts) -> schemas.HostCosts:
    def line(name: str) -> Sequence[float | None]:
        return [None if step is None else getattr(step, name) for step in item.steps]

    return schemas.HostCosts(
        host=item.host,
        cpu_percent=list(line("cpu_percent")),
        program_cpu_percent=list(line("program_cpu_percent")),
        program_ns_per_fault=list(line("program_ns_per_fault")),
        program_ns_per_run=list(line("program_ns_per_run")),
        resident_bytes=[None if step is None else step.resident_bytes for step in item.steps],
    )
