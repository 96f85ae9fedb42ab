# SPDX-License-Identifier: Apache-2.0
"""What servers, database, load generator and the whole machine have used."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import psycopg

from bench.cost.process import cpu_ns, cpu_s, memory
from bench.scaling.place import Place
from faultmodel.units import NS_PER_S

_IDLE = (3, 4)
"""Fields of /proc/stat, proc(5): idle, iowait. Those from the ninth on are in others already."""


@dataclass(frozen=True, slots=True)
class Used:
    """Since some beginning: CPU time in s, and bytes of PostgreSQL's write-ahead log.

    ``event_loops`` is a part of ``servers``. ``machine``: all of its processors, whoever had them.
    """

    wall_s: float
    servers: float
    event_loops: float
    database: float
    generator: float
    machine: float
    wal: int

    def since(self, before: "Used") -> "Used":
        """Return what was used in between."""
        return Used(*(now - was for now, was in zip(astuple(self), astuple(before), strict=True)))


def used(place: Place) -> Used:
    """Return what was used until now."""
    pids = [pid for pid, _ in place.servers]
    return Used(
        wall_s=time.monotonic(),
        servers=sum(cpu_ns(pid) for pid in pids) / NS_PER_S,
        event_loops=sum(map(_main_thread_ns, pids)) / NS_PER_S,
        database=sum(map(_cpu_s, _processes(place))),
        generator=time.process_time(),
        machine=_machine_s(),
        wal=_wal_bytes(place),
    )


def resident(place: Place) -> tuple[int, int]:
    """Return the bytes of memory that servers have, and those of PostgreSQL's processes together."""
    of_servers = sum(memory(pid).resident for pid, _ in place.servers)
    of_database = 0
    for pid in _processes(place):
        # One may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            of_database += memory(pid).proportional
    return of_servers, of_database


def _processes(place: Place) -> Sequence[int]:
    """Return PostgreSQL's processes. A child that ends is in its parent's CPU time from then on."""
    if place.postmaster is None:
        return []
    children = Path(f"/proc/{place.postmaster}/task/{place.postmaster}/children").read_text().split()
    return [place.postmaster, *map(int, children)]


def _cpu_s(pid: int) -> float:
    try:
        return cpu_s(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _main_thread_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


def _machine_s() -> float:
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    busy = sum(fields) - sum(fields[place] for place in _IDLE)
    return busy / os.sysconf("SC_CLK_TCK")


def _wal_bytes(place: Place) -> int:
    if place.postmaster is None:
        return 0
    with psycopg.connect(place.database) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        assert row is not None
        return int(row[0])
