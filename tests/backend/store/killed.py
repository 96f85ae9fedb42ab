# SPDX-License-Identifier: Apache-2.0
"""Applies batches in one process after the other, each killed by SIGKILL one step later than the one before.

A step is a statement of the catalog that writes, a commit, an insert into ClickHouse, and last of all the
acknowledgement; the process ends itself just before it. (Before a statement that reads it would leave the
same.) The next process sends again what its predecessor was at. The batches are small: with the inserts,
lives grow in number and in length, and each table is inserted into alike. What each found is on standard
output, pickled. They are forked from one that has read the code and has no thread: the engine of ClickHouse
begins anew in each.
"""

import importlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

from backend.store import open_store
from backend.store.clickhouse.database import Database
from backend.store.contract.levels import LENGTHS_S
from backend.store.contract.series import FIGURES, KEYS, OWNER, Metric
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmFilter
from tests.backend.store.everything import ALWAYS, RECEIVED_NS, a_batch, roll_up, stored
from tests.batches import START_S

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Life:
    """What a process found. ``resent``: whether the batch that its predecessor was at was new, each time."""

    found: int
    resent: list[bool] = field(default_factory=list)
    then: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """What the last one found, which came to its end: the steps that it took, and all that is stored."""

    steps: list[str]
    stored: Mapping[object, object]
    summed: Mapping[object, object]
    levels: Mapping[object, object]


def main(catalog: str, series: str) -> None:
    """Fork one process after the other, until one comes to its end."""
    # What each of them would read otherwise; pandas is read at the first insert where it is there.
    for name in ("clickhouse_connect.dbapi", "backend.store.clickhouse.series", "backend.store.sql.sqlite"):
        importlib.import_module(name)
    sys.modules["pandas"] = None  # type: ignore[assignment]
    number = 0
    while True:
        number += 1
        child = os.fork()
        if not child:
            live(number, catalog, series)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(os.waitstatus_to_exitcode(status))


def live(number: int, catalog: str, series: str) -> None:
    """Send again what the one before was at, and end at a step of the next batch."""
    store = open_store(catalog, series)
    if number == 1:
        store.prepare()
    store.check_schema()
    found = faults(store)
    resent: list[bool] = []
    # Another host's VM is given a number first: on SQLite that of the VM whose batch was undone.
    for host in (1, 0) if number > 1 else ():
        resent += [store.apply(a_batch(number - 1, host=host, is_small=True), RECEIVED_NS) for _ in range(2)]
    _say(Life(found, resent, faults(store)))
    # As a server that has just begun: it is given numbers of blocks anew. The engine goes on.
    begun = open_store(catalog, series)
    steps: list[str] = []

    def step(what: str) -> None:
        steps.append(what)
        if len(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    with watched(step):
        assert begun.apply(a_batch(number, is_small=True), RECEIVED_NS)
        step("acknowledge")
    whole = stored(store)
    roll_up(store)
    _say(End(steps, whole, stored(store), levels(store)))


@contextmanager
def watched(step: Callable[[str], None]) -> Iterator[None]:
    """Have a function called before each step."""
    insert = Database.insert

    def insert_later(self: Database, *args: Any) -> None:
        step(f"insert {args[0].name}")
        insert(self, *args)

    def execute(*args: Any) -> None:
        statement = str(args[2])
        if not statement.startswith(("SELECT", "BEGIN")):
            step(statement)

    def commit(_: Connection) -> None:
        step("commit")

    Database.insert = insert_later  # type: ignore[method-assign, assignment]
    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    yield
    event.remove(Engine, "before_cursor_execute", execute)
    event.remove(Engine, "commit", commit)


def faults(store: Store) -> int:
    """Return the faults of all VMs."""
    return sum(vm.faults for vm in store.vms(VmFilter(), ALWAYS, limit=1000, after=None))


def levels(store: Store) -> Mapping[object, object]:
    """Return all counts of VMs as the first hours show them at each level, and the ledger's totals."""
    found: dict[object, object] = {}
    start_ms = START_S // HOUR_S * HOUR_S * 1000
    with store.snapshot():
        vms = {vm.number: vm.id for vm in store.members(VmFilter(), ALWAYS).vms}
        for metric in (Metric.FAULTS, Metric.EXITS, Metric.LEDGER):
            by = (OWNER, *KEYS[metric])
            for length_s in LENGTHS_S:
                steps = Steps(start_ms, start_ms + 2 * HOUR_S * 1000, length_s * 1000)
                rows = store.series.points(metric, list(vms), steps, by=by, figures=FIGURES[metric])
                found[metric, length_s] = sorted((row[0], vms[row[1]], *row[2:]) for row in rows)
        found["account"] = sorted(map(repr, store.counting_totals(list(vms.values()))))
    return found


def _say(what: Life | End) -> None:
    sys.stdout.buffer.write(pickle.dumps(what))
    sys.stdout.buffer.flush()
