# SPDX-License-Identifier: Apache-2.0
"""The command that checks a file of alert rules."""

import argparse
import sys
from pathlib import Path

from backend.query.alerts.rules_file import check_rules, read_text

_WRONG = 1


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("alerts", help="check the rules of alerts")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="say what each rule of a file watches, or what is wrong with it",
        description="Say what each rule of a file watches, the default ones that it leaves on too, or all"
        " that is wrong with it. The exit status is 0 where nothing is, 1 where something is, and 2 where the"
        " file cannot be read.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the rules, in TOML")
    check.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    checked = check_rules(read_text(options.file))
    for problem in checked.problems:
        print(f"kvmfaults-server: {options.file}: {problem.words}", file=sys.stderr)
    if checked.problems:
        return _WRONG
    for rule in checked.rules:
        print(f"{rule.name} ({rule.severity}{', default' if rule.is_default else ''}): {rule.words()}")
    return 0
