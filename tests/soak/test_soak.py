# SPDX-License-Identifier: Apache-2.0
"""Killed, filled up, cut off and out of order, with guests faulting all the time: the totals stay exact."""

import secrets
from pathlib import Path

import pytest

from tests.postgresql import PostgresqlServer, postgresql_server
from tests.soak.database import Database, PostgresqlDatabase, SqliteDatabase
from tests.soak.plan import make_plan
from tests.soak.run import soak

__all__ = ["postgresql_server"]

pytestmark = pytest.mark.kernel

KILLS = 10
"""On each database; ``python -m tests.soak`` has the long form."""


def _is_exact(directory: Path, database: Database, *, damage: bool = False) -> None:
    seed = secrets.randbits(32)
    did: list[str] = []
    verdict = soak(directory, database, make_plan(seed, KILLS, damage=damage), seed, did.append)
    assert not verdict.differences, "\n".join((f"--kills {KILLS} --seed {seed}", *did, str(verdict)))


def test_around_an_sqlite_file_totals_are_exact_whatever_happens(tmp_path: Path) -> None:
    _is_exact(tmp_path, SqliteDatabase(tmp_path / "kvmfaults.db"))


def test_around_a_postgresql_server_what_damage_costs_is_stated_exactly(
    tmp_path: Path, postgresql_server: PostgresqlServer
) -> None:
    _is_exact(tmp_path, PostgresqlDatabase(postgresql_server), damage=True)
