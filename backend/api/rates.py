# SPDX-License-Identifier: Apache-2.0
"""Rates over time."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import NamedOrChosen
from backend.api.exports.formats import FILES
from backend.api.former_names import current_name
from backend.api.parameters import InFormat, InSteps, Parameters
from backend.api.presented import as_of_body, coverage_body
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned
from backend.query.choice import Choice
from backend.query.grid import MAX_VALUES
from backend.query.rate_keys import By, Metric
from backend.query.rate_question import Question
from backend.query.rates import rates
from backend.query.versions import PATTERN
from backend.store.contract.levels import Levels

router = APIRouter(prefix="/api/v1/rates", tags=["Rates"], route_class=RangeRoute)


class Charted(Parameters):
    """How rates are charted."""

    by: By = Field(
        By.VM,
        description="What makes a series of its own. A fault has any number of flags, so the series by flag "
        "do not add up to the faults.",
    )
    most: int = Field(
        MAX_VALUES,
        ge=1,
        le=MAX_VALUES,
        description="Give so many series, those with the greatest totals, and add up the others.",
        examples=[500],
    )
    after: str | SkipJsonSchema[None] = Field(
        None,
        pattern=PATTERN,
        description="`version` of an earlier answer to this question: give the steps alone that may have "
        "changed since, and those that are new. All of them where it is not known any more.",
    )


class RatesParameters(Charted, NamedOrChosen, InSteps, InFormat):
    """What is charted, of which VMs, and how."""

    metric: Metric = Field(
        Metric.FAULTS, description="What is counted. Exits have series by `vm`, `guest`, `vcpu` and `arch`."
    )
    _current_metric = field_validator("metric", mode="before")(current_name)

    def question(self, now_ms: int, choice: Choice, levels: Levels) -> Question:
        """Return what is asked at this time.

        :param choice: ``choice_of``
        :raises ParameterError: VMs are chosen in two ways, or the steps cannot be used
        """
        grid = self.grid(now_ms, levels)
        self.check_one_way()
        return Question(
            metric=self.metric,
            by=self.by,
            grid=grid,
            most=self.most,
            vm_ids=self.vm_ids,
            guest_ids=self.guest_ids,
            choice=choice,
            after=self.after,
        )


@router.get("", responses={**FILES, **reader_problems(404)})
def chart_rates(services: ServicesDep, asked: Annotated[RatesParameters, Query()]) -> schemas.Rates:
    """Chart counts per second of covered time, over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0; so is one in which a VM was not there.
    """
    now_ms = services.now_ms
    choice = asked.choice_of(services.store)
    levels = services.store.kept_levels(choice.host_names, asked.vm_ids)
    question = asked.question(now_ms, choice, levels)
    found = rates(services.sources, question, now_ms)
    others = found.others
    return schemas.Rates(
        version=found.version,
        step_ms=question.grid.step_ms,
        times_ms=list(found.grid.starts_ms),
        # Each is made when it is written, and gone then.
        series=(
            schemas.Series(
                key=one.key,
                label=one.label,
                total=sum(one.counts),
                counts=list(one.counts),
                values=list(one.values),
            )
            for one in found.series
        ),
        others=None
        if others is None
        else schemas.OtherSeries(
            count=others.count,
            total=sum(others.counts),
            counts=list(others.counts),
            values=list(others.values),
        ),
        quiet=list(found.quiet),
        coverage=coverage_body(found.coverage),
        kept_from_ms=found.kept_from_ms,
        **warned(question.grid.span, found.kept_from_ms, found.uncovered),
        vms_left_out=found.vms_left_out,
        as_of=as_of_body(found.as_of),
    )
