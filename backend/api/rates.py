"""Rates over time."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.parameters import TimeRangeDep, VmParameter
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.query.grid import MAX_POINTS, make_grid
from backend.query.rates import By, Metric, rates
from backend.times import DURATION_PATTERN, parse_duration

router = APIRouter(prefix="/api/v1/rates", tags=["Rates"])


@router.get("", responses=reader_problems(404))
def chart_rates(
    services: ServicesDep,
    span: TimeRangeDep,
    metric: Annotated[Metric, Query(description="What is counted.")] = Metric.FAULTS,
    vm: VmParameter = [],  # noqa: B006 - FastAPI copies it
    by: Annotated[
        By,
        Query(
            description="What makes a series of its own; exits have `vm`, `vcpu` and `arch`. A fault has any "
            "number of flags, so the series by flag do not add up to the faults."
        ),
    ] = By.VM,
    step: Annotated[
        str | SkipJsonSchema[None],
        Query(
            max_length=64,
            json_schema_extra={"pattern": DURATION_PATTERN},
            description="Length of a step: `10s` (s, m, h, d, w) or ms, a multiple of 1 s. Without it, "
            f"such that there are about 300 points at most; there may be {MAX_POINTS}.",
            examples=["10s"],
        ),
    ] = None,
) -> schemas.Rates:
    """Chart counts per second of covered time, over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0.
    """
    step_ms = None if step is None else parse_duration("step", step)
    grid = make_grid(span, services.now_ms, step_ms)
    vm_ids = list(dict.fromkeys(vm)) or None
    found = rates(services.store, vm_ids, metric, by, grid)
    return schemas.Rates(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        series=[
            schemas.Series(key=one.key, label=one.label, total=one.total, values=list(one.values))
            for one in found.series
        ],
        coverage=[
            schemas.CoveredSpan(
                host=one.host, from_ms=one.from_ms, to_ms=one.to_ms, is_recording=one.is_recording
            )
            for one in found.coverage
        ],
    )
