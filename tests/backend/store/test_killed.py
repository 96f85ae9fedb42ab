# SPDX-License-Identifier: Apache-2.0
"""Killed between any two statements of a batch, catalog and ClickHouse have it once when it came again."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.contract.store import Store
from tests.backend.store.conftest import NewUrl
from tests.backend.store.everything import RECEIVED_NS, a_batch, stored
from tests.backend.store.killed import End, Life, levels
from tests.clickhouse import ClickHouse, engine_folder

FAULTS = 6
TABLES = 7
"""Of a batch, in ClickHouse: counts of faults, exits, losses, costs, the ledger, and two of records."""


@pytest.fixture
def twin(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Store]:
    """Return an empty store in one database."""
    with closing(open_store(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'twin.db')}")) as opened:
        yield opened


@pytest.mark.clickhouse
@pytest.mark.parametrize("database", ["sqlite"])
def test_a_batch_that_is_sent_again_after_a_kill_between_any_two_statements_counts_once(
    new_url: NewUrl, twin: Store
) -> None:
    """Catalog and engine are killed with the process."""
    with engine_folder() as folder:
        hold(new_url(), f"clickhousedb:///default?interface=chdb&path={folder}", twin)


@pytest.mark.parametrize("database", ["postgresql"])
def test_so_it_is_where_both_databases_go_on(
    new_url: NewUrl, clickhouse_http: ClickHouse, twin: Store
) -> None:
    """As servers of their own do."""
    clickhouse_http.empty()
    hold(new_url(), clickhouse_http.url, twin)


def hold(catalog: str, series: str, twin: Store) -> None:
    """Apply batches in processes that are killed, and hold what each found, and what is there at the end."""
    code = f"from tests.backend.store.killed import main; main({catalog!r}, {series!r})"
    reports: list[Life | End] = []
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with suppress(EOFError):
            while True:
                reports.append(pickle.load(process.stdout))
    assert process.returncode == 0
    *found, end = reports
    assert isinstance(end, End)
    lives = [life for life in found if isinstance(life, Life)]
    assert len(lives) == len(found) == len(end.steps) + 1

    # Each step had its kill: those that give a number to a block, too.
    assert end.steps[-2:] == ["commit", "acknowledge"]
    assert end.steps.count("commit") > 1
    inserts = [step for step in end.steps if step.startswith("insert ")]
    assert len(set(inserts)) == len(inserts) == TABLES
    assert len(end.steps) > 20

    whole = 0
    for number, life in enumerate(lives, 1):
        # The batch at which the one before was killed is there if it was committed, else no part of it.
        is_there = number > 1 and end.steps[number - 2] == "acknowledge"
        assert life.found == whole + FAULTS * is_there, end.steps[: number - 1]
        if number > 1:
            assert life.resent == [True, False, not is_there, False]
            whole += 2 * FAULTS
        assert life.then == whole

    for number in range(1, len(lives)):
        for host in (1, 0):
            assert twin.apply(a_batch(number, host=host, is_small=True), RECEIVED_NS)
    assert twin.apply(a_batch(len(lives), is_small=True), RECEIVED_NS)
    assert end.stored == end.summed == stored(twin)
    assert end.levels == levels(twin)
