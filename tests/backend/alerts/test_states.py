# SPDX-License-Identifier: Apache-2.0
"""What becomes of an alert: it is pending, fires and is resolved, once, whichever server judges its rule."""

from contextlib import closing

import pytest

from backend.jobs.runner import Outcome, Runner
from backend.query.alerts import judging
from backend.store import open_store
from backend.store.contract import alerts as contract
from backend.store.contract.alerts import AlertEnd, AlertState
from faultmodel.kinds import HostState
from tests.backend.alerts.rounds import EVERY_S, Rounds, alerts_job
from tests.backend.alerts.rules import rule_text
from tests.batches import NS_PER_S, START_NS, VM_ID, make_host, make_vm

B = "00000000000000b2"
STORM = rule_text(above='"100/s"', over='"1m"', for_='"30s"')
AT_ONCE = rule_text(above='"100/s"', over='"1m"')
FIRING, PENDING, RESOLVED = ("own", "firing"), ("own", "pending"), ("own", "resolved")


def test_it_is_pending_fires_and_is_resolved(rounds: Rounds) -> None:
    rounds.rules(STORM)
    rounds.counted(60)
    assert rounds.judge() == []
    rounds.counted(15, faults=60_000)
    assert rounds.judge() == [PENDING]
    rounds.counted(15)
    assert rounds.judge() == [PENDING]
    rounds.counted(15)
    assert rounds.judge() == [FIRING]
    alert = rounds.alert()
    assert (alert.since_ns - START_NS, alert.firing_ns) == (75 * NS_PER_S, START_NS + 105 * NS_PER_S)
    assert (alert.value, alert.threshold, alert.vm_id, alert.vm_name) == (1000, 100, VM_ID, "guest")

    rounds.counted(60)
    assert rounds.judge() == [RESOLVED]
    alert = rounds.alert()
    assert (alert.resolved_ns, alert.end) == (START_NS + 165 * NS_PER_S, AlertEnd.BACK)
    rounds.counted(15, faults=60_000)
    assert rounds.judge() == [PENDING, RESOLVED]


def test_one_that_holds_no_more_before_it_fires_is_forgotten(rounds: Rounds) -> None:
    rounds.rules(rule_text(above='"100/s"', over='"1m"', for_='"5m"'))
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [PENDING]
    rounds.counted(60)
    assert rounds.judge() == []


def test_what_is_not_known_neither_fires_nor_resolves(rounds: Rounds) -> None:
    rounds.rules(AT_ONCE)
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [FIRING]
    before = rounds.alert()
    rounds.silent(3600)
    assert rounds.judge() == [FIRING]
    assert rounds.alert() == before

    rounds.counted(15, faults=60_000)
    assert rounds.judge() == [FIRING]
    assert rounds.alert().firing_ns == before.firing_ns
    rounds.counted(60)
    assert rounds.judge() == [RESOLVED]


def test_one_that_is_pending_begins_anew_once_it_was_not_known(rounds: Rounds) -> None:
    rounds.rules(STORM)
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [PENDING]
    rounds.silent(300)
    assert rounds.judge() == [PENDING]
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [PENDING]
    assert rounds.alert().since_ns == START_NS + 420 * NS_PER_S


def test_a_server_that_was_started_anew_goes_on(rounds: Rounds) -> None:
    rounds.rules(STORM)
    for _ in range(3):
        rounds.counted(15, faults=60_000)
        rounds.judge()
        rounds.job = alerts_job(rounds.path)
    fired = rounds.alert()
    assert (fired.state, fired.firing_ns) == (AlertState.FIRING, START_NS + 45 * NS_PER_S)
    rounds.silent(600)
    rounds.counted(15, faults=60_000)
    assert rounds.judge() == [FIRING]
    assert rounds.alert().firing_ns == fired.firing_ns


def test_one_of_two_servers_judges_in_each_round(rounds: Rounds, database: str) -> None:
    rounds.rules(AT_ONCE)
    rounds.counted(60, faults=60_000)
    with closing(open_store(database)) as other_store:
        runners = [
            Runner(store, [], now_ns=rounds.server.clock) for store in (rounds.server.store, other_store)
        ]
        jobs = [alerts_job(rounds.path), alerts_job(rounds.path)]
        for first in (0, 1):
            outcomes = [runners[at].run_if_due(jobs[at]) for at in (first, 1 - first)]
            assert outcomes == [Outcome.DONE, Outcome.NOT_DUE]
            assert rounds.alert().known_ns == rounds.server.clock.now_ns
            rounds.counted(EVERY_S, faults=60_000)


def test_one_of_a_vm_that_ended_is_resolved(rounds: Rounds) -> None:
    rounds.rules(AT_ONCE)
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [FIRING]
    rounds.counted(15, vms=[make_vm(ended_ns=START_NS + 70 * NS_PER_S)])
    assert rounds.judge() == [RESOLVED]
    assert rounds.alert().end is AlertEnd.SUBJECT_GONE


def test_one_of_a_collector_that_was_stopped_in_order_is_resolved(rounds: Rounds) -> None:
    rounds.rules(rule_text(watch='"collector_gone"', above='"1m"'))
    rounds.counted(60)
    rounds.silent(61)
    assert rounds.judge() == [FIRING]
    rounds.host = make_host(state=HostState.STOPPED)
    rounds.counted(15)
    rounds.silent(300)
    assert rounds.judge() == [RESOLVED]
    assert rounds.alert().end is AlertEnd.SUBJECT_GONE


@pytest.mark.parametrize("changed", ["", rule_text(over='"1m"', vm='"other"'), rule_text(name='"new"')])
def test_one_whose_rule_is_no_longer_of_it_is_resolved(rounds: Rounds, changed: str) -> None:
    rounds.rules(AT_ONCE)
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [FIRING]
    rounds.rules(changed)
    rounds.counted(15)
    assert RESOLVED in rounds.judge()
    assert AlertEnd.RULE_GONE in [alert.end for alert in rounds.alerts()]


def test_a_file_that_has_changed_is_read_again_and_one_that_is_wrong_changes_nothing(rounds: Rounds) -> None:
    rounds.rules(AT_ONCE)
    rounds.counted(60, faults=60_000)
    rounds.path.write_text("[[rule]]")
    assert rounds.judge() == [FIRING]
    assert "line 1, rule 1, name: write a name" in rounds.failure()
    assert rounds.failure().endswith("the rules of before are judged")

    rounds.path.write_text("defaults = false")
    rounds.silent(EVERY_S)
    assert rounds.judge() == [RESOLVED]
    assert rounds.failure() == ""


def test_no_more_than_so_many_are_open_at_once(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MOST_OPEN", 1)
    rounds.rules(AT_ONCE)
    rounds.counted(60, vms=[VM_ID, B], faults=60_000)
    assert rounds.judge() == [FIRING]
    assert rounds.failure().startswith("1 alerts more than")


def test_resolved_ones_are_kept_for_a_month(rounds: Rounds) -> None:
    rounds.rules(AT_ONCE)
    rounds.counted(60, faults=60_000)
    rounds.judge()
    rounds.counted(60)
    assert rounds.judge() == [RESOLVED]
    rounds.silent(contract.KEPT_RESOLVED_NS // NS_PER_S)
    assert rounds.judge() == [RESOLVED]
    rounds.silent(EVERY_S)
    assert rounds.judge() == []


def test_they_go_with_their_vm_and_their_host(rounds: Rounds) -> None:
    rounds.rules(AT_ONCE, rule_text(name='"gone"', watch='"collector_gone"', above='"1m"'))
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == [FIRING]
    rounds.silent(61)
    assert sorted(rounds.judge()) == [("gone", "firing"), FIRING]
    rounds.server.store.remove_vm(VM_ID)
    assert [alert.key.rule for alert in rounds.alerts()] == ["gone"]
    rounds.server.store.remove_host("host-1")
    assert rounds.alerts() == []
    rounds.silent(EVERY_S)
    assert rounds.judge() == []
