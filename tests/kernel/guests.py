# SPDX-License-Identifier: Apache-2.0
"""Guests in processes of their own, and what they say they did."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.product import TOP


@dataclass(frozen=True, slots=True)
class Truth:
    """A guest's truth: totals by access (its own pages included), and its exits.

    A fault that KVM could not map is one of its access, too.
    """

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
    def mapped(self) -> int:
        """Those that KVM could map: all that earlier versions count on PVM."""
        return self.faults - len(self.exits)

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


def start_endless(*, vcpus: int = 1, steadily: bool = False) -> subprocess.Popen[bytes]:
    """Start a guest that faults for as long as its input is open: in bursts, or without a rest."""
    command = [sys.executable, "-m", "tests.soak.endless", "--vcpus", str(vcpus)]
    command += ["--steadily"] if steadily else []
    return subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@contextmanager
def endless(*, vcpus: int = 1, steadily: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run such a guest, for no longer than it is needed: so many faults as last on any machine take long."""
    with start_endless(vcpus=vcpus, steadily=steadily) as guest:
        try:
            yield guest
        finally:
            guest.kill()


def end_endless(guest: subprocess.Popen[bytes]) -> Truth:
    """End such a guest and return what it did."""
    return truth_of(guest.communicate()[0].splitlines()[0])


def truth_of(line: bytes) -> Truth:
    """Read a guest's line of truth."""
    printed = json.loads(line)
    extra, vcpus = printed["extra_faults"], printed["vcpus"]
    for vcpu in vcpus:
        for failed in vcpu["exits"]:
            vcpu[failed["op"]] += 1
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
