# SPDX-License-Identifier: Apache-2.0
"""What rules may watch: the value of each, of whom, and when it is not known."""

from typing import Any

import msgspec
import pytest

from faultmodel.kinds import EventKind, HostState, LossKind
from faultmodel.record import EventFacts, HostEvent, Loss
from faultmodel.waits import Handler
from tests.backend.alerts.rounds import Rounds
from tests.backend.alerts.rules import rule_text
from tests.batches import (
    NS_PER_S,
    START_NS,
    VM_ID,
    exit_count,
    fault_count,
    ledger_entry,
    livelock,
    make_host,
    outstanding,
    outstanding_look,
)

B = "00000000000000b2"
FIRING = [("own", "firing")]


@pytest.mark.parametrize(
    ("rule", "batch", "value"),
    [
        ({"watch": '"faults"', "above": '"1/s"'}, {"faults": 120}, 2),
        ({"watch": '"faults"', "below": '"1/s"'}, {"faults": 30}, 0.5),
        ({"watch": '"memory_fault_exits"', "above": '"0/s"'}, {"exit_counts": [exit_count(count=6)]}, 0.1),
        ({"watch": '"bare_error_exits"', "above": '"0/s"'}, {"exit_counts": [exit_count(reason=0)]}, 1 / 60),
        (
            {"watch": '"exits"', "errno": '"EHWPOISON"', "above": '"0/s"'},
            {"exit_counts": [exit_count(count=5), exit_count(errno=133, count=3)]},
            0.05,
        ),
        (
            {"watch": '"exits"', "reason": '"mmio"', "above": '"0/s"'},
            {"exit_counts": [exit_count(count=5), exit_count(reason=6, errno=0, count=30)]},
            0.5,
        ),
        (
            {"watch": '"uncounted_faults"', "above": '"0/s"'},
            {"ledger": [ledger_entry(seen=12, uncounted=6)], "fault_counts": [fault_count(faults=6)]},
            0.1,
        ),
        ({"watch": '"livelocks"', "above": "0"}, {"livelocks": [livelock(second=59, began=1)]}, 1),
        (
            {"watch": '"outstanding_fault"', "above": '"3s"'},
            {"outstanding": [outstanding(second=58)], "outstanding_looks": [outstanding_look(58)]},
            5,
        ),
        (
            {"watch": '"lost"', "above": '"0/s"'},
            {"lost": [Loss(kind=LossKind.KEYS_FULL, count=3)]},
            0.05,
        ),
    ],
)
def test_each_has_its_value(
    rounds: Rounds, rule: dict[str, str], batch: dict[str, Any], value: float
) -> None:
    has_window = rule["watch"] not in ('"livelocks"', '"outstanding_fault"')
    above = {} if "below" in rule else {"above": rule["above"]}
    text = rule_text(**rule, **({"over": '"1m"'} if has_window else {}))
    if not above:
        text = text.replace('above = "100/s"\n', "")
    rounds.rules(text)
    rounds.counted(60, **batch)
    assert rounds.judge() == FIRING
    assert rounds.alert().value == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "batch"),
    [
        ({"watch": '"bare_error_exits"', "above": '"0/s"'}, {"exit_counts": [exit_count()]}),
        ({"watch": '"exits"', "errno": "5", "above": '"0/s"'}, {"exit_counts": [exit_count()]}),
        ({"watch": '"livelocks"', "above": "0"}, {"livelocks": [livelock(second=59, is_over=True)]}),
        (
            {"watch": '"outstanding_fault"', "above": '"3s"'},
            {
                "outstanding": [outstanding(second=58, handler=Handler.CLOSED)],
                "outstanding_looks": [outstanding_look(58)],
            },
        ),
        (
            {"watch": '"lost"', "above": '"0/s"'},
            {"lost": [Loss(kind=LossKind.UNREAD_VCPUS, count=3)]},
        ),
    ],
)
def test_what_is_none_of_it_does_not_count(
    rounds: Rounds, rule: dict[str, str], batch: dict[str, Any]
) -> None:
    rounds.rules(rule_text(**rule))
    rounds.counted(60, **batch)
    assert rounds.judge() == []


def test_a_fault_that_its_host_does_not_show_any_more_has_not_ended(rounds: Rounds) -> None:
    rounds.rules(rule_text(watch='"outstanding_fault"', above='"3s"'))
    rounds.counted(60, outstanding=[outstanding(second=58)], outstanding_looks=[outstanding_look(58)])
    assert rounds.judge() == FIRING
    shed = HostEvent(
        time_ns=START_NS + 61 * NS_PER_S,
        kind=EventKind.SHED,
        facts=EventFacts(hook="sched:sched_switch", used_ppm=30_000, granted_ppm=10_000),
    )
    rounds.counted(15, events=[shed], outstanding_looks=[outstanding_look(74)])
    assert rounds.judge() == FIRING
    restored = msgspec.structs.replace(shed, time_ns=shed.time_ns + 20 * NS_PER_S, kind=EventKind.RESTORED)
    rounds.counted(15, events=[restored], outstanding_looks=[outstanding_look(89)])
    assert rounds.judge() == [("own", "resolved")]


def test_a_gap_is_what_was_not_covered_of_a_window(rounds: Rounds) -> None:
    rounds.rules(rule_text(watch='"gap"', above='"10s"', over='"1m"'))
    rounds.counted(60)
    rounds.silent(20)
    rounds.counted(15)
    assert rounds.judge() == FIRING
    assert rounds.alert().value == 20
    rounds.counted(45)
    assert rounds.judge() == [("own", "resolved")]


def test_a_host_that_is_new_has_no_gap(rounds: Rounds) -> None:
    rounds.rules(rule_text(watch='"gap"', above='"10s"', over='"1h"'))
    rounds.silent(600)
    rounds.counted(30)
    assert rounds.judge() == []


def test_a_collector_that_waits_leaves_a_gap(rounds: Rounds) -> None:
    rounds.rules(rule_text(watch='"gap"', above='"10s"', over='"1m"'))
    rounds.counted(60)
    rounds.counted(30, covered=())
    assert rounds.judge() == FIRING
    assert rounds.alert().value == 30


def test_a_collector_is_gone_when_nothing_comes(rounds: Rounds) -> None:
    rounds.rules(rule_text(watch='"collector_gone"', above='"1m"'))
    rounds.counted(60)
    rounds.silent(60)
    assert rounds.judge() == []
    rounds.silent(15)
    assert rounds.judge() == FIRING
    assert (rounds.alert().value, rounds.alert().key.host, rounds.alert().vm_id) == (75, "host-1", "")
    rounds.counted(15)
    assert rounds.judge() == [("own", "resolved")]


def test_a_vm_is_held_against_its_own_past(rounds: Rounds) -> None:
    rounds.rules(rule_text(above='"10x"', past='"hour"', at_least='"5/s"', over='"1m"'))
    rounds.counted(3600, faults=3600)
    rounds.counted(60, faults=600)
    assert rounds.judge() == []
    rounds.counted(60, faults=1200)
    assert rounds.judge() == FIRING
    alert = rounds.alert()
    assert alert.value == 20
    assert alert.threshold == pytest.approx(10 * (3600 + 600) / 3600, rel=0.05)


def test_the_past_of_a_vm_that_is_new_is_not_known(rounds: Rounds) -> None:
    rounds.rules(rule_text(above='"10x"', past='"hour"', over='"1m"'))
    rounds.counted(600, faults=600)
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == []


def test_a_rate_of_which_less_than_half_is_covered_is_not_known(rounds: Rounds) -> None:
    rounds.rules(rule_text(above='"1/s"', over='"5m"'))
    rounds.counted(60)
    rounds.silent(300)
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == []
    rounds.counted(90)
    assert rounds.judge() == FIRING


@pytest.mark.parametrize(
    ("selector", "is_of"),
    [
        ({"host": '"host-*"'}, True),
        ({"host": '"other-*"'}, False),
        ({"vm": '["x", "gue*"]'}, True),
        ({"vm": f'"{VM_ID}"'}, True),
        ({"vm": '"web"'}, False),
        ({"arch": '"x86*"'}, True),
        ({"arch": '"arm64"'}, False),
        ({"guest": f'"{B}"'}, False),
        ({"vm": '"gue*"', "host": '"other"'}, False),
    ],
)
def test_rules_are_of_the_vms_that_they_choose(rounds: Rounds, selector: dict[str, str], is_of: bool) -> None:
    rounds.rules(rule_text(above='"1/s"', over='"1m"', **selector))
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == (FIRING if is_of else [])


def test_a_guest_is_chosen_by_its_id(rounds: Rounds) -> None:
    rounds.counted(60, faults=60_000)
    (vm,) = rounds.server.get("/api/v1/vms")["items"]
    rounds.rules(rule_text(above='"1/s"', over='"1m"', guest=f'"{vm["guest"]}"'))
    assert rounds.judge() == FIRING


def test_each_vm_has_an_alert_of_its_own(rounds: Rounds) -> None:
    rounds.rules(rule_text(above='"1/s"', over='"1m"'))
    counts = [fault_count(VM_ID, second=5, faults=600), fault_count(B, second=5, faults=6)]
    rounds.counted(60, vms=[VM_ID, B], fault_counts=counts)
    assert rounds.judge() == FIRING
    rounds.counted(15, vms=[VM_ID, B], faults=600)
    assert rounds.judge() == [*FIRING, *FIRING]
    assert {alert.vm_id for alert in rounds.alerts()} == {VM_ID, B}


def test_recordings_are_not_watched(rounds: Rounds) -> None:
    rounds.host = make_host(state=HostState.REPLAY)
    rounds.rules(rule_text(above='"1/s"', over='"1m"'))
    rounds.counted(60, faults=60_000)
    assert rounds.judge() == []
