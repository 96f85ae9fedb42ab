# SPDX-License-Identifier: Apache-2.0
"""What the tests of migrations have in common: a database behind the store's back."""

from collections.abc import Sequence

from sqlalchemy import create_engine, inspect

from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmSummary


def engine_url(url: str) -> str:
    """Return the URL for an engine of this test."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def every_vm(store: Store) -> Sequence[VmSummary]:
    """Return every VM of a store."""
    return store.vms(VmFilter(), TimeRange(), limit=1000, after=None)


def tables(url: str) -> set[str]:
    """Return the names of the tables of a database."""
    engine = create_engine(engine_url(url))
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


def write(url: str, statement: str) -> None:
    """Run a statement that changes something."""
    engine = create_engine(engine_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    """Return what a statement selects."""
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(statement)]
    engine.dispose()
    return found
