# SPDX-License-Identifier: Apache-2.0
"""How Alembic reaches the database: over the connection that ``sql.migrate`` opened, or by hand.

By hand: ``alembic -x url=sqlite:///path upgrade head``.
"""

import time
from typing import Literal

from alembic import context
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from backend.errors import StoreError
from backend.store.sql.postgresql_partitions import partition_names
from backend.store.sql.tables import metadata
from backend.store.sql.words import Word
from backend.store.url import database_of

# Any number that no other program takes for its own lock in this database.
_MIGRATION_LOCK = 0x6B766D66
_FIRST = ("hosts", "streams", "stream_tokens", "applied_batches", "sources", "vms", "tokens", "refusals")
"""Tables in the order in which servers come to them: who stores a batch has its host's row first."""
_FORMER = (
    *(
        "x86_fault_counts",
        "arm64_fault_counts",
        "riscv_fault_counts",
        "fault_counts",
        "exit_counts",
        "ledger",
    ),
    *("losses", "collector_costs"),
)
_ATTEMPTS = 10
_PAUSE_S = 1.0
"""What came to wait for the tables meanwhile goes on."""


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # First wait for another migration, however long, then for tables only briefly: a statement that
        # waits for a table makes everyone else wait behind it.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
    partitions = set(partition_names(connection))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
        render_item=_render_item,
        include_name=lambda name, *_: name not in partitions,
    )
    if connection.dialect.name == "postgresql" and _changes_something():
        _lock_tables(connection)
    with context.begin_transaction():
        context.run_migrations()


def _changes_something() -> bool:
    """Return whether the database is to be brought to another revision than it is at."""
    migration = context.get_context()
    if "destination_rev" not in migration.opts:  # A new migration is being written, say.
        return False
    wanted = context.get_revision_argument()
    return set(migration.get_current_heads()) != ({wanted} if isinstance(wanted, str) else set(wanted or ()))


def _lock_tables(connection: Connection) -> None:
    """Have every table before any is changed, so that none is waited for while others wait for this.

    :raises StoreError: servers are at work on them, all the time
    """
    there = set(inspect(connection).get_table_names()) & {*metadata.tables, *_FORMER}
    ordered = [*(name for name in _FIRST if name in there), *sorted(there - set(_FIRST))]
    if not ordered:
        return
    for attempt in range(_ATTEMPTS):
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"LOCK TABLE {', '.join(ordered)} IN ACCESS EXCLUSIVE MODE")
        except OperationalError as exc:  # Waited too long, or was one of several that waited for one another.
            if attempt + 1 == _ATTEMPTS:
                raise StoreError(
                    "servers are at work on the database, nothing was changed; stop them and migrate again"
                ) from exc
            time.sleep(_PAUSE_S)
        else:
            return


def _render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write plain SQL types into new migrations: they outlive the classes of the program."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Word) else False


def _run() -> None:
    if context.is_offline_mode():
        raise SystemExit("migrations need a database: they cannot be printed as SQL")
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _migrate(connection)
        return
    url = context.get_x_argument(as_dictionary=True).get("url")
    if url is None:
        raise SystemExit("which database? run alembic -x url=sqlite:///path ...")
    database, parsed = database_of(url)
    with database.create_migration_engine(parsed).begin() as connection:
        _migrate(connection)


_run()
