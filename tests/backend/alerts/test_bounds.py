# SPDX-License-Identifier: Apache-2.0
"""A round asks the database as often for many rules and VMs as for few."""

from tests.backend.alerts.rounds import EVERY_S, Rounds
from tests.backend.alerts.rules import rule_text
from tests.backend.store.statements import asked

WATCHED = (
    {"watch": '"faults"', "above": '"1000000/s"'},
    {"watch": '"faults"', "above": '"10x"', "past": '"hour"', "at_least": '"1000000/s"'},
    {"watch": '"memory_fault_exits"', "above": '"1000000/s"'},
    {"watch": '"exits"', "errno": "14", "above": '"1000000/s"'},
    {"watch": '"uncounted_faults"', "above": '"1000000/s"'},
    {"watch": '"livelocks"', "above": "16000"},
    {"watch": '"outstanding_fault"', "above": '"1h"'},
    {"watch": '"gap"', "above": '"1h"'},
    {"watch": '"lost"', "above": '"1000000/s"'},
    {"watch": '"collector_gone"', "above": '"1d"'},
)


def test_a_round_has_a_bounded_number_of_questions(rounds: Rounds) -> None:
    found = []
    for rules, vms in ((1, 2), (5, 40)):
        rounds.rules(
            *(
                rule_text(name=f'"r-{copy}-{number}"', **fields)
                for copy in range(rules)
                for number, fields in enumerate(WATCHED)
            )
        )
        # The first round reads what later ones have.
        for _ in range(2):
            rounds.counted(EVERY_S, vms=[f"{number:016x}" for number in range(1, vms + 1)], faults=10)
            with asked() as statements:
                assert rounds.judge() == []
        found.append(len(statements))
    assert found[1] <= found[0] < 60, found
