"""Rates over time."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.parameters import GridDep, VmParameter
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.query.rates import MAX_VALUES, By, Metric, rates

router = APIRouter(prefix="/api/v1/rates", tags=["Rates"], route_class=ReadingRoute)


@router.get("", responses=reader_problems(404))
def chart_rates(
    services: ServicesDep,
    grid: GridDep,
    metric: Annotated[Metric, Query(description="What is counted.")] = Metric.FAULTS,
    vm: VmParameter = [],  # noqa: B006 - FastAPI copies it
    by: Annotated[
        By,
        Query(
            description="What makes a series of its own; exits have `vm`, `vcpu` and `arch`. A fault has any "
            "number of flags, so the series by flag do not add up to the faults."
        ),
    ] = By.VM,
    most: Annotated[
        int,
        Query(
            ge=1,
            le=MAX_VALUES,
            description="Give so many series, those with the greatest totals, and add up the others.",
            examples=[500],
        ),
    ] = MAX_VALUES,
) -> schemas.Rates:
    """Chart counts per second of covered time, over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0.
    """
    vm_ids = list(dict.fromkeys(vm)) or None
    found = rates(services.store, vm_ids, metric, by, grid, most=most)
    others = found.others
    return schemas.Rates(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        series=[
            schemas.Series(key=one.key, label=one.label, total=one.total, values=list(one.values))
            for one in found.series
        ],
        others=None if others is None else schemas.OtherSeries.model_validate(others, from_attributes=True),
        coverage=[
            schemas.CoveredSpan(
                host=one.host, from_ms=one.from_ms, to_ms=one.to_ms, is_recording=one.is_recording
            )
            for one in found.coverage
        ],
    )
