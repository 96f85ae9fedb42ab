# SPDX-License-Identifier: Apache-2.0
"""Alerts."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api import schemas
from backend.api.choosing import NamedOrDescribed
from backend.api.exports.formats import FILES
from backend.api.parameters import MAX_NAMES, InFormat, InPages, InTime, Text
from backend.api.presented_alerts import alert_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.query.alerts.listing import AlertChoice, alerts
from backend.query.alerts.rules import Severity
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.store.contract.alerts import AlertState
from backend.times import rfc3339_ns

# Not a RangeRoute: an alert of a range that is over may be resolved later.
router = APIRouter(prefix="/api/v1/alerts", tags=["Alerts"], route_class=ReadingRoute)


class AlertsParameters(InPages, InTime, NamedOrDescribed, InFormat):
    """Which alerts."""

    state: list[AlertState] = Field(
        [],
        max_length=len(AlertState),
        description="Only alerts in this state. May be given several times.",
        examples=[["firing"]],
    )
    rule: list[Text] = Field(
        [],
        max_length=MAX_NAMES,
        description="Only alerts of the rule of this name. May be given several times.",
        examples=[["livelock"]],
    )
    severity: list[Severity] = Field(
        [],
        max_length=len(Severity),
        description="Only alerts of this severity. May be given several times.",
        examples=[["critical"]],
    )


@router.get("", responses={**FILES, **reader_problems(404)})
def list_alerts(services: ServicesDep, asked: Annotated[AlertsParameters, Query()]) -> schemas.AlertPage:
    """List alerts that were open at some time within from..to (default: all time), newest first.

    Of VMs that are named, or chosen by more than their host, hosts' own alerts are none.
    """
    asked.check_one_way()
    _, after = read_place_cursor(Listed.ALERTS, asked.cursor) or (0, 0)
    store = services.store
    with store.snapshot():
        wanted = AlertChoice(
            states=asked.state or tuple(AlertState),
            rules=asked.rule,
            severities=asked.severity,
            vm_ids=asked.vm_ids,
            guest_ids=asked.guest_ids,
            choice=asked.choice_of(store),
        )
        found = alerts(store, wanted, asked.span(services.now_ms), limit=asked.limit, after=after)
    return schemas.AlertPage(
        items=[alert_body(alert) for alert in found.items],
        next_cursor=place_cursor(Listed.ALERTS, 0, after + asked.limit) if found.has_more else None,
        judged_at=None if found.judged_ns is None else rfc3339_ns(found.judged_ns),
        notices_lost=found.notices_lost,
    )
