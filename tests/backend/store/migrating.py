# SPDX-License-Identifier: Apache-2.0
"""What the tests of migrations have in common: a database behind the store's back."""

from collections.abc import Sequence

from sqlalchemy import create_engine, inspect

from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmSummary
from backend.store.sql.postgresql_partitions import is_parted, partition_names
from backend.store.sql.tables import metadata
from tests.batches import NS_PER_S, START_S


def engine_url(url: str) -> str:
    """Return the URL for an engine of this test."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def every_vm(store: Store) -> Sequence[VmSummary]:
    """Return every VM of a store."""
    return store.vms(VmFilter(), TimeRange(), limit=1000, after=None)


def tables(url: str) -> set[str]:
    """Return the names of the tables of a database, partitions of a table aside."""
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        found = set(inspect(connection).get_table_names()) - set(partition_names(connection))
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


FIRST_HOUR = START_S // 3600 // 8192 * 8192
"""Before all that tests store: a partition of whatever length may begin with it."""


def begin_parting(url: str, hour: int) -> None:
    """Have partitions begin with an hour, as if PostgreSQL's tables had been parted then."""
    engine = create_engine(engine_url(url))
    with engine.begin() as connection:
        for table in filter(is_parted, metadata.sorted_tables):
            end = hour * 3600 * (1 if "bucket_s" in table.columns else NS_PER_S)
            alter = f"ALTER TABLE {table.name}"
            connection.exec_driver_sql(f"{alter} DETACH PARTITION {table.name}_first")
            connection.exec_driver_sql(
                f"{alter} ATTACH PARTITION {table.name}_first FOR VALUES FROM (MINVALUE) TO ({end})"
            )
    engine.dispose()
