# SPDX-License-Identifier: Apache-2.0
"""Killed between any two statements of a batch, catalog and ClickHouse have it once when it came again."""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.contract.store import Store
from tests.backend.store.conftest import NewUrl
from tests.backend.store.everything import RECEIVED_NS, a_batch, stored
from tests.backend.store.killed import End, Life, levels
from tests.clickhouse import SHARED_MEMORY

FAULTS = 6
"""Of a batch."""


@pytest.fixture
def engine_folder() -> Iterator[Path]:
    """Return a folder for the engine of the processes that are killed: only one may have it open."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kvmfaults-killed-", dir=parent) as folder:
        yield Path(folder)


@pytest.fixture
def twin(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Store]:
    """Return an empty store in one database."""
    with closing(open_store(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'twin.db')}")) as opened:
        yield opened


@pytest.mark.clickhouse
def test_a_batch_that_is_sent_again_after_a_kill_between_any_two_statements_counts_once(
    database: str, new_url: NewUrl, engine_folder: Path, twin: Store
) -> None:
    """Beside PostgreSQL before each commit alone: what lies in ClickHouse before it is the same there."""
    is_each = database == "sqlite"
    series = f"clickhousedb:///default?interface=chdb&path={engine_folder}"
    code = f"from tests.backend.store.killed import main; main({new_url()!r}, {series!r}, is_each={is_each})"
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
    assert len(set(inserts)) == len(inserts) == (7 if is_each else 0)
    assert len(end.steps) > 20 or not is_each

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
            assert twin.apply(a_batch(number, host=host), RECEIVED_NS)
    assert twin.apply(a_batch(len(lives)), RECEIVED_NS)
    assert end.stored == end.summed == stored(twin)
    assert end.levels == levels(twin)
