# SPDX-License-Identifier: Apache-2.0
"""Rules for tests, of which a test states only what it is about."""

from collections.abc import Sequence

from backend.query.alerts.rules import Rule
from backend.query.alerts.rules_file import check_rules

_FIELDS = {
    "name": '"own"',
    "watch": '"faults"',
    "above": '"100/s"',
    "summary": '"Something is the matter."',
    "runbook": '"own"',
}


def rule_text(**fields: str) -> str:
    """Return a rule as a file has it, from its fields in TOML; a trailing ``_`` of a name is dropped."""
    all_fields = _FIELDS | {name.rstrip("_"): value for name, value in fields.items()}
    return "".join(["[[rule]]\n", *(f"{name} = {value}\n" for name, value in all_fields.items())])


def rules_of(*texts: str) -> Sequence[Rule]:
    """Return these rules, without the default ones."""
    checked = check_rules("\n".join(["defaults = false", *texts]))
    assert not checked.problems, checked.problems
    return checked.rules
