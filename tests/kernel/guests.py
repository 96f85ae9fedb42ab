# SPDX-License-Identifier: Apache-2.0
"""Guests in processes of their own, and what they say they did."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.product import TOP


@dataclass(frozen=True, slots=True)
class Truth:
    """A guest's truth: totals by access (its own pages included), and its exits."""

    pid: int
    read: int
    write: int
    execute: int
    exits: list[dict[str, Any]]
    by_vcpu: dict[int, int]

    @property
    def faults(self) -> int:
        """All guest faults."""
        return self.read + self.write + self.execute

    @property
    def memory_fault_exits(self) -> list[dict[str, Any]]:
        """The annotated ones."""
        return [failed for failed in self.exits if failed["kind"] == "memory_fault"]


def run_guest(**options: object) -> Truth:
    """Run one guest to its end: ``write=1000, vcpus=2``."""
    return truth_of(subprocess.run(_command(options), cwd=TOP, check=True, stdout=subprocess.PIPE).stdout)


def start_guest(**options: object) -> subprocess.Popen[bytes]:
    """Start a guest and go on."""
    return subprocess.Popen(_command(options), cwd=TOP, stdout=subprocess.PIPE, stdin=subprocess.PIPE)


def truth_of(line: bytes) -> Truth:
    """Read a guest's line of truth."""
    printed = json.loads(line)
    extra, vcpus = printed["extra_faults"], printed["vcpus"]
    by_vcpu = {vcpu["vcpu"]: vcpu["read"] + vcpu["write"] + vcpu["execute"] for vcpu in vcpus}
    # The guest's own pages: its vCPU 0 takes these faults once, before the others.
    by_vcpu[0] += extra["read"] + extra["write"] + extra["execute"]
    return Truth(
        pid=printed["pid"],
        read=extra["read"] + sum(vcpu["read"] for vcpu in vcpus),
        write=extra["write"] + sum(vcpu["write"] for vcpu in vcpus),
        execute=extra["execute"] + sum(vcpu["execute"] for vcpu in vcpus),
        exits=[failed for vcpu in vcpus for failed in vcpu["exits"]],
        by_vcpu=by_vcpu,
    )


def _command(options: dict[str, object]) -> list[str]:
    arguments = [sys.executable, "-m", "demo", "run"]
    for name, value in options.items():
        arguments.append(f"--{name.replace('_', '-')}")
        if value is not True:
            arguments.append(str(value))
    return arguments
