# SPDX-License-Identifier: Apache-2.0
"""Measures what tracing costs: the collector's CPU time and memory, and the programs' run time."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from collector.probe.probes import Probes
from collector.probe.syscall import Runs
from faultmodel.record import Cost

_MEASURED_EVERY = 30
"""Run times are measured in one of so many readings: while they are, each run takes some 20 ns more."""
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


class CostMeter:
    """Measures the cost from one reading to the next. For one thread."""

    def __init__(self, probes: Probes, measure: Callable[[], int]) -> None:
        """:param measure: has the kernel measure run times until the descriptor that it returns is closed"""
        self._probes = probes
        self._measure = measure
        self._cpu_ns = time.process_time_ns()
        self._readings = 0
        self._stats: int | None = None
        self._programs: Mapping[str, Runs] = {}
        self.may_measure = True
        """False once the kernel has refused it."""
        self.run_ns: Mapping[str, int] | None = None
        """How long each program ran during the newest reading; None where that was not measured."""

    def read(self, from_ns: int, to_ns: int) -> Cost:
        """Return the cost since the last call.

        :param from_ns: the span that the reading covers, UTC
        """
        cpu_ns = time.process_time_ns()
        used_ns, self._cpu_ns = cpu_ns - self._cpu_ns, cpu_ns
        added = self._end_measuring()
        self.run_ns = None if added is None else {name: runs.time_ns for name, runs in added.items()}
        self._readings += 1
        if self._readings % _MEASURED_EVERY == 0:
            self._begin_measuring()
        return Cost(
            from_ns=from_ns,
            to_ns=to_ns,
            cpu_ns=used_ns,
            resident_bytes=_resident_bytes(),
            program_ns=None if added is None else sum(runs.time_ns for runs in added.values()),
            program_runs=None if added is None else sum(runs.count for runs in added.values()),
        )

    def close(self) -> None:
        """Let the kernel stop measuring."""
        self._end_measuring()

    def _begin_measuring(self) -> None:
        if not self.may_measure:
            return
        try:
            self._stats = self._measure()
        except OSError:
            # It takes CAP_SYS_ADMIN, which nobody here has.
            self.may_measure = False
            return
        self._programs = self._probes.program_cost()

    def _end_measuring(self) -> Mapping[str, Runs] | None:
        if self._stats is None:
            return None
        os.close(self._stats)
        self._stats = None
        before, none = self._programs, Runs(0, 0, 0)
        return {
            name: Runs(
                runs.time_ns - before.get(name, none).time_ns,
                runs.count - before.get(name, none).count,
                runs.missed,
            )
            for name, runs in self._probes.program_cost().items()
        }


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
