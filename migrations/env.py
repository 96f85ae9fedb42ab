"""How Alembic reaches the database: over the connection that ``sql.migrate`` opened, or by hand.

By hand: ``alembic -x url=sqlite:///path upgrade head``.
"""

from typing import Literal

from alembic import context
from sqlalchemy import Connection

from backend.store.sql.tables import metadata
from backend.store.sql.words import Word
from backend.store.url import database_of

# Any number that no other program takes for its own lock in this database.
_MIGRATION_LOCK = 0x6B766D66


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # First wait for another migration, however long, then for tables only briefly: a statement that
        # waits for a table makes everyone else wait behind it.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
        render_item=_render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


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
