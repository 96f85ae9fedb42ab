# SPDX-License-Identifier: Apache-2.0
"""Alerts: which rules hold of whom, and have held."""

from pydantic import BaseModel, Field

from backend.api.schemas.fields import Count, ExactTimeText, HostText, NextCursor
from backend.query.alerts.rules import Comparison, Severity
from backend.query.alerts.watches import Unit
from backend.store.contract.alerts import AlertEnd, AlertState, Notice


class Alert(BaseModel):
    """That a rule holds, or has held, of a VM or a host."""

    rule: str = Field(examples=["livelock"])
    severity: Severity
    state: AlertState = Field(
        description="`pending`: its rule does not hold for as long yet as it must. What was pending and has "
        "not fired is no alert"
    )
    host: HostText = Field(examples=["host-1"])
    vm: str | None = Field(description="Null of an alert of the host", examples=["00000000000000a1"])
    vm_name: HostText | None = Field(description="Its name; null of an alert of the host", examples=["guest"])
    since: ExactTimeText = Field(description="From when on the rule has held")
    firing_since: ExactTimeText | None = Field(description="When the alert fired; null while it is pending")
    resolved_at: ExactTimeText | None = Field(description="When that was over; null while it is not")
    end: AlertEnd | None = Field(
        description="Why it was resolved. `back`: the value is on the other side of the threshold; "
        "`subject_gone`: the VM ended, or the collector was stopped in order; `rule_gone`: the rule was "
        "switched off, or is of others",
        examples=[None],
    )
    known_at: ExactTimeText = Field(description="When it was last known that the rule holds")
    watch: str = Field(description="What the rule watches", examples=["livelocks"])
    unit: Unit | None = Field(description="Of value and threshold; null of what only a later version knows")
    comparison: Comparison
    value: float = Field(description="As of `known_at`", examples=[1.0])
    threshold: float = Field(description="As of `known_at`", examples=[0.0])
    summary: str = Field(examples=["A vCPU faults on the same page again and again, and does not go on."])
    notice: Notice = Field(
        description="What Alertmanager was sent of it last. `lost`: it was over before that took that "
        "it fires, or it did not take for an hour that it is over",
        examples=["firing"],
    )
    notified_at: ExactTimeText | None = Field(
        description="When Alertmanager took that; null where it did not"
    )
    runbook: str = Field(description="The page that says what to do", examples=["docs/runbooks/livelock.md"])


class AlertPage(BaseModel):
    """Alerts, the newest first."""

    items: list[Alert]
    next_cursor: NextCursor
    judged_at: ExactTimeText | None = Field(
        description="When the rules were judged last; null where they never were"
    )
    notices_lost: Count = Field(description="Of how many alerts that are kept a notice was lost")
