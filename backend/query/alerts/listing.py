# SPDX-License-Identifier: Apache-2.0
"""Alerts, as they are listed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from backend.query.choice import EVERYONE, Choice
from backend.query.lives import ids_of_lives
from backend.store.contract.alerts import Alert, AlertState
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange

JOB = "alerts"
"""By which the rules are judged."""


@dataclass(frozen=True, slots=True)
class ListedAlerts:
    """A page of alerts. ``judged_ns``: when the rules were judged last, None where they never were.

    ``notices_lost``: of how many of all that are kept.
    """

    items: Sequence[Alert]
    has_more: bool
    judged_ns: int | None
    notices_lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChoice:
    """Which alerts; all where nothing is said. Of VMs that are named, or chosen, hosts' alerts are none."""

    states: Collection[AlertState] = tuple(AlertState)
    rules: Collection[str] = ()
    severities: Collection[str] = ()
    vm_ids: Sequence[str] = ()
    guest_ids: Sequence[str] = ()
    choice: Choice = EVERYONE


def alerts(store: Store, wanted: AlertChoice, span: TimeRange, *, limit: int, after: int) -> ListedAlerts:
    """Return those that were open at some time of the range, the newest first.

    Within the caller's snapshot of the store.

    :param after: how many items the pages before had
    :raises NotFoundError: a guest is unknown
    """
    found = [
        alert
        for alert in store.alerts(span, wanted.states)
        if (not wanted.rules or alert.key.rule in wanted.rules)
        and (not wanted.severities or alert.severity in wanted.severities)
    ]
    if wanted.vm_ids or wanted.guest_ids:
        ids = {*wanted.vm_ids, *ids_of_lives(store, wanted.guest_ids, TimeRange())}
        found = [alert for alert in found if alert.vm_id in ids]
    elif not wanted.choice.is_everyone:
        found = _chosen(store, found, wanted.choice)
    judged = next((job.ended_ns for job in store.jobs() if job.name == JOB), None)
    has_more = len(found) > after + limit
    return ListedAlerts(found[after : after + limit], has_more, judged, store.lost_notices())


def _chosen(store: Store, found: Sequence[Alert], choice: Choice) -> list[Alert]:
    hosts = choice.where.hosts
    is_of_hosts = replace(choice, where=replace(choice.where, hosts=None)).is_everyone
    ids = sorted({alert.vm_id for alert in found if alert.vm_id})
    taken = {vm.id for vm in store.members_named(ids) if choice.takes(vm)}
    return [
        alert
        for alert in found
        if (
            alert.vm_id in taken
            if alert.vm_id
            else is_of_hosts and (hosts is None or alert.key.host in hosts)
        )
    ]
