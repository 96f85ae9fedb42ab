"""Rates over time."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import ChoiceDep
from backend.api.parameters import GridDep, VmParameter
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.errors import ParameterError
from backend.query.rate_keys import By, Metric
from backend.query.rates import MAX_VALUES, Question, rates
from backend.query.versions import PATTERN

router = APIRouter(prefix="/api/v1/rates", tags=["Rates"], route_class=ReadingRoute)


@router.get("", responses=reader_problems(404))
def chart_rates(
    services: ServicesDep,
    grid: GridDep,
    choice: ChoiceDep,
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
    after: Annotated[
        str | SkipJsonSchema[None],
        Query(
            pattern=PATTERN,
            description="`version` of an earlier answer to this question: give the steps alone that may have "
            "changed since, and those that are new. All of them where it is not known any more.",
        ),
    ] = None,
) -> schemas.Rates:
    """Chart counts per second of covered time, over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0; so is one in which a VM was not there.
    """
    vm_ids = tuple(dict.fromkeys(vm))
    if vm_ids and not choice.is_everyone:
        raise ParameterError("vm", "VMs are chosen by their ids, or by what is known of them, not by both")
    question = Question(metric=metric, by=by, grid=grid, most=most, vm_ids=vm_ids, choice=choice, after=after)
    found = rates(services.sources, question, services.now_ms)
    others = found.others
    return schemas.Rates(
        version=found.version,
        step_ms=grid.step_ms,
        times_ms=list(found.grid.starts_ms),
        series=[
            schemas.Series(
                key=one.key,
                label=one.label,
                total=sum(one.counts),
                counts=list(one.counts),
                values=list(one.values),
            )
            for one in found.series
        ],
        others=None
        if others is None
        else schemas.OtherSeries(
            count=others.count,
            total=sum(others.counts),
            counts=list(others.counts),
            values=list(others.values),
        ),
        quiet=list(found.quiet),
        coverage=[
            schemas.CoveredSpan(
                host=one.host, from_ms=one.from_ms, to_ms=one.to_ms, is_recording=one.is_recording
            )
            for one in found.coverage
        ],
        vms_left_out=found.vms_left_out,
    )
