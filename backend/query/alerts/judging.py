# SPDX-License-Identifier: Apache-2.0
"""Which rules hold of whom, and what becomes of each alert by that.

::

    (none) -- holds --> pending -- has held for long enough --> firing -- holds no more --> resolved
       ^                   |
       +-- holds no more --+

While it is not known whether a rule holds, its alert stays as it is. One that is pending then begins anew: it
is not known whether its rule has held all the time.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from backend.query.alerts.moment import Moment
from backend.query.alerts.rules import Rule
from backend.query.alerts.watches import Subject
from backend.query.choice import is_running
from backend.store.contract.alerts import (
    MOST_OPEN,
    NO_VM,
    Alert,
    AlertChanges,
    AlertEnd,
    AlertKey,
    AlertState,
)
from backend.store.contract.store import Store
from faultmodel.units import NS_PER_S

UNKNOWN_NS = 60 * NS_PER_S
"""Of a pending alert it was not known for longer whether its rule holds: it begins anew."""


@dataclass(frozen=True, slots=True)
class Holding:
    """That a rule holds, with its value and threshold."""

    rule: Rule
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of whom rules hold, and of which open alerts that is not known."""

    holding: Mapping[AlertKey, Holding]
    unknown: AbstractSet[AlertKey]


def judge(rules: Sequence[Rule], moment: Moment, alerts: Sequence[Alert]) -> Judgement:
    """Judge all rules of all that they are of. :param alerts: those that are open"""
    holding: dict[AlertKey, Holding] = {}
    unknown: set[AlertKey] = set()
    is_open: AbstractSet[tuple[str, str, int]] = {alert.key for alert in alerts}
    for rule in rules:
        values = moment.values(rule)
        thresholds = None if rule.past is None else moment.thresholds(rule)
        for name, host, number in _subjects(rule, moment):
            value = values.get(name)
            threshold = rule.threshold if thresholds is None else thresholds.get(name)
            if value is None or threshold is None:
                # Of thousands it may not be known: to keep them all would have Python look for garbage.
                if (rule.name, host, number) in is_open:
                    unknown.add(AlertKey(rule.name, host, number))
            elif rule.holds(value, threshold):
                holding[AlertKey(rule.name, host, number)] = Holding(rule, value, threshold)
    return Judgement(holding, unknown)


def _subjects(rule: Rule, moment: Moment) -> Iterator[tuple[int | str, str, int]]:
    if rule.subject is Subject.VM:
        for vm in rule.selector.of_vms(moment.vms):
            yield vm.number, vm.host, vm.number
    else:
        for name in rule.selector.of_hosts(moment.hosts):
            yield name, name, NO_VM


def ends(
    alerts: Sequence[Alert], judgement: Judgement, rules: Sequence[Rule], moment: Moment, store: Store
) -> Mapping[AlertKey, AlertEnd]:
    """Return which of the open alerts are over, and why: of the others it holds, or is not known.

    Within the snapshot that the moment is of.
    """
    over = [
        alert.key
        for alert in alerts
        if alert.key not in judgement.holding and alert.key not in judgement.unknown
    ]
    by_name = {rule.name: rule for rule in rules}
    read = {vm.number: vm for vm in moment.vms}
    unread = [key.vm for key in over if key.vm != NO_VM and key.vm not in read]
    others = {vm.number: vm for vm in store.members_numbered(unread)} if unread else {}
    found = {}
    for key in over:
        rule = by_name.get(key.rule)
        vm = read.get(key.vm) or others.get(key.vm)
        if rule is None or (rule.subject is Subject.VM) != (key.vm != NO_VM):
            found[key] = AlertEnd.RULE_GONE
        elif key.host not in moment.hosts or (key.vm != NO_VM and vm is None):
            found[key] = AlertEnd.SUBJECT_GONE
        elif vm is None:
            is_of = key.host in rule.selector.of_hosts([key.host])
            found[key] = AlertEnd.BACK if is_of else AlertEnd.RULE_GONE
        elif not rule.selector.of_vms([vm]):
            found[key] = AlertEnd.RULE_GONE
        elif key.vm in read:
            found[key] = AlertEnd.BACK
        elif not is_running(vm, moment.now_ms):
            found[key] = AlertEnd.SUBJECT_GONE
    return found


def advanced(
    alerts: Sequence[Alert], judgement: Judgement, ended: Mapping[AlertKey, AlertEnd], now_ns: int
) -> tuple[AlertChanges, int]:
    """Return what becomes of the open alerts, and how many that would begin are left out: too many are open.

    :param ended: which are over, and why
    """
    stored: list[Alert] = []
    forgotten: list[Alert] = []
    for alert in alerts:
        held = judgement.holding.get(alert.key)
        is_pending = alert.state is AlertState.PENDING
        if held is not None:
            if is_pending and now_ns - alert.known_ns > UNKNOWN_NS:
                forgotten.append(alert)
                stored.append(_begun(alert.key, held, now_ns))
            else:
                stored.append(_gone_on(alert, held, now_ns))
        elif alert.key in ended and is_pending:
            forgotten.append(alert)
        elif alert.key in ended:
            stored.append(replace(alert, state=AlertState.RESOLVED, resolved_ns=now_ns, end=ended[alert.key]))
    known = {alert.key for alert in alerts}
    new = [key for key in judgement.holding if key not in known]
    room = max(0, MOST_OPEN - len(alerts))
    stored += [_begun(key, judgement.holding[key], now_ns) for key in new[:room]]
    return AlertChanges(stored=stored, forgotten=forgotten), max(0, len(new) - room)


def _begun(key: AlertKey, held: Holding, now_ns: int) -> Alert:
    begun = Alert(key=key, state=AlertState.PENDING, since_ns=now_ns, known_ns=now_ns, **_as_held(held))
    return _gone_on(begun, held, now_ns)


def _gone_on(alert: Alert, held: Holding, now_ns: int) -> Alert:
    fires = alert.state is AlertState.FIRING or now_ns - alert.since_ns >= held.rule.for_s * NS_PER_S
    return replace(
        alert,
        state=AlertState.FIRING if fires else AlertState.PENDING,
        firing_ns=(alert.firing_ns or now_ns) if fires else None,
        known_ns=now_ns,
        **_as_held(held),
    )


def _as_held(held: Holding) -> Mapping[str, Any]:
    """Return what an alert has of its rule, which may have changed, and of its value."""
    rule = held.rule
    return {
        "value": held.value,
        "threshold": held.threshold,
        "watch": rule.watch,
        "comparison": rule.comparison,
        "severity": rule.severity,
        "summary": rule.summary,
        "runbook": rule.runbook,
    }
