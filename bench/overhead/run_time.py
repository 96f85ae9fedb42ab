# SPDX-License-Identifier: Apache-2.0
"""How long BPF programs run, as the kernel measures it: far less noisy than how long a guest takes."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.probe import syscall
from collector.probe.headers import find_bpftool


@dataclass(frozen=True, slots=True)
class RunTime:
    """The runs of some programs. The nanoseconds include the clock's own, as the floor's do."""

    ns: int
    runs: int


NO_RUNS = RunTime(0, 0)


@contextlib.contextmanager
def measured() -> Iterator[None]:
    """Have the kernel measure every BPF program; it costs each run the reading of a clock, twice."""
    switch = syscall.enable_stats()
    try:
        yield
    finally:
        os.close(switch)


def programs() -> Mapping[int, RunTime]:
    """Return the run time of every program loaded, by id; nothing where bpftool is missing."""
    tool = find_bpftool()
    if tool is None:
        return {}
    listed = subprocess.run([tool, "--json", "prog", "show"], check=True, stdout=subprocess.PIPE).stdout
    return {
        program["id"]: RunTime(program.get("run_time_ns", 0), program.get("run_cnt", 0))
        for program in json.loads(listed)
    }


def added(before: Mapping[int, RunTime], after: Mapping[int, RunTime]) -> RunTime:
    """Return the sum over the programs that are loaded now and were not before."""
    new = [after[number] for number in after.keys() - before.keys()]
    return RunTime(sum(each.ns for each in new), sum(each.runs for each in new))
