# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector doctor``: says what this host offers, what that means, and what to do."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from collector.commands.checks_collector import examine_collector
from collector.commands.checks_private import examine_private
from collector.counting.checks import Cause, Finding, examine
from faultmodel.kinds import CheckState as State

_MARKS = {State.OK: "ok", State.LACKING: "less", State.MISSING: "MISSING"}


def add_parser(
    commands: "argparse._SubParsersAction[Any]", data_dir: str, bpffs: str, lock_file: str
) -> None:
    """Add the command's arguments."""
    codes = ", ".join(f"{cause.value} {cause.name.lower()}" for cause in Cause if cause)
    parser = commands.add_parser(
        "doctor",
        help="say what this host offers for tracing, and the remedy for what is missing",
        epilog="Exit status: 0 if faults can be counted; findings that are marked less say what is lost. Else"
        f" that of the first thing that is missing: {codes}.",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--no-attach", action="store_true", help="do not try to attach the programs")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(data_dir), help="of the collector (%(default)s)"
    )
    parser.add_argument("--bpffs", type=Path, default=Path(bpffs), help="of the collector (%(default)s)")
    parser.add_argument(
        "--lock-file", type=Path, default=Path(lock_file), help="of the collector (%(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; return the first missing thing's cause."""
    with tempfile.TemporaryDirectory(prefix="kvmfaults-") as directory:
        findings = list(examine(Path(directory), options.bpffs, attach=not options.no_attach))
    findings += examine_private(options.data_dir, options.bpffs)
    findings += examine_collector(options.data_dir, options.bpffs, options.lock_file)
    if options.json:
        json.dump([asdict(finding) for finding in findings], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(_text(findings))
    missing = [finding.cause for finding in findings if finding.state is State.MISSING]
    return int(missing[0]) if missing else 0


def _text(findings: list[Finding]) -> str:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]:>7}  {finding.name:<{width}}  {finding.found}")
        if finding.remedy:
            lines.append(f"{'':>7}  {'':<{width}}  -> {finding.remedy}")
    return "\n".join([*lines, "", _summary(findings)]) + "\n"


def _summary(findings: list[Finding]) -> str:
    """Say in a line what the exit code says, and what it does not."""
    missing, less = (
        [finding.name for finding in findings if finding.state is state]
        for state in (State.MISSING, State.LACKING)
    )
    if missing:
        return f"nothing can be counted: {', '.join(missing)} missing"
    return f"faults can be counted, with less: {', '.join(less)}" if less else "faults can be counted"
