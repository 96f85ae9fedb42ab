# SPDX-License-Identifier: Apache-2.0
"""All that a view of every VM shows, in one answer: its parts are of one moment, and asked for at once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from backend.api import schemas
from backend.api.choosing import Chosen
from backend.api.parameters import TIME_SCHEMA, InSteps, Limit
from backend.api.presented_outstanding import stalled_body
from backend.api.rates import Charted, RatesParameters, chart_rates
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.status import status_of
from backend.api.vms import Sorting, VmsParameters, list_vms
from backend.query.outstanding import stalled_now

router = APIRouter(prefix="/api/v1/overview", tags=["Overview"], route_class=ReadingRoute)


class OverviewParameters(Charted, Sorting, InSteps, Chosen):
    """Of which VMs, when, and how they are listed and charted."""

    from_text: str = Field(
        "now-15m",
        alias="from",
        max_length=64,
        description="Start, inclusive, as everywhere.",
        examples=["now-15m"],
        json_schema_extra=TIME_SCHEMA,
    )
    limit: Limit = 100

    @property
    def of_vms(self) -> VmsParameters:
        """What is asked of the list of VMs."""
        return VmsParameters.model_validate(
            {**self._given_for(VmsParameters), "totals": True, "commands": False}
        )

    @property
    def of_rates(self) -> RatesParameters:
        """What is asked of the chart."""
        return RatesParameters.model_validate(self._given_for(RatesParameters))

    def _given_for(self, model: type[BaseModel]) -> Mapping[str, Any]:
        given = set(model.model_fields) & {*self.model_fields_set, "from_text"}
        return self.model_dump(by_alias=True, include=given)


@router.get("", responses=reader_problems())
def show_overview(services: ServicesDep, asked: Annotated[OverviewParameters, Query()]) -> schemas.Overview:
    """List VMs with the totals of all that are found, and chart their faults over the same range.

    As `/api/v1/vms` with `totals=true` and `commands=false`, `/api/v1/rates` and `/api/v1/status` do, all at
    one moment. What stands still is of now, whatever the range.
    """
    now_ns = services.now_ns()
    at_once = replace(services, now_ns=lambda: now_ns)
    services.refusals.write()
    with services.store.snapshot():
        return schemas.Overview(
            vms=list_vms(at_once, asked.of_vms),
            rates=chart_rates(at_once, asked.of_rates),
            status=status_of(at_once),
            stalled=stalled_body(stalled_now(at_once.store, asked.choice_of(at_once.store), now_ns)),
        )
