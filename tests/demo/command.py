# SPDX-License-Identifier: Apache-2.0
"""Runs the demonstration's command line."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """What one VM says that it did."""

    vmm: str
    vcpus: list[dict[str, Any]]
    faults: int
    exits: list[dict[str, Any]]


def command(*arguments: str) -> list[str]:
    """Return the command line."""
    return [sys.executable, "-m", "demo", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


def report_of(line: str) -> Report:
    """Read a line of truth; the guest's own pages are among the faults."""
    truth = json.loads(line)
    counted = [*truth["vcpus"], truth["extra_faults"]]
    faults = sum(count["read"] + count["write"] + count["execute"] for count in counted)
    exits = [failed for vcpu in truth["vcpus"] for failed in vcpu["exits"]]
    return Report(truth["name"], truth["vcpus"], faults, exits)
