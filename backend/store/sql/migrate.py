# SPDX-License-Identifier: Apache-2.0
"""Bringing a database to this version's tables."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection

from backend.errors import SchemaError
from backend.store.sql.errors import store_errors
from backend.store.sql.postgresql_partitions import partition_names
from backend.store.sql.revision import check_known, migrations_folder
from backend.store.sql.tables import metadata
from backend.store.url import database_of

Progress = Callable[[str, int, int], None]
"""Takes what is copied, and of how many parts how many are done. Called again and again while it lasts."""


def _silent(what: str, done: int, whole: int) -> None:
    pass


def migrate(url: str, progress: Progress = _silent) -> None:
    """Bring a database up to this version. Two at once, or once more, do no harm.

    :raises SchemaError: the database is at a revision that this version does not know
    :raises StoreError: the database cannot be used
    """
    _run(url, lambda config: command.upgrade(config, "head"), progress)


def downgrade(url: str, revision: str, progress: Progress = _silent) -> None:
    """Take a database back to an earlier revision; ``base`` removes every table.

    :raises SchemaError: there is no such revision
    :raises StoreError: the database cannot be used
    """
    _run(url, lambda config: command.downgrade(config, revision), progress)


def check_drift(url: str) -> Sequence[str]:
    """Return how a migrated database differs from ``sql.tables``, one text for each difference."""
    with _connected(url) as connection:
        partitions = set(partition_names(connection))
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, *_: name not in partitions,
            },
        )
        return [repr(difference) for difference in compare_metadata(context, metadata)]


def _run(url: str, migration: Callable[[Config], None], progress: Progress) -> None:
    config = _config()
    config.attributes["progress"] = progress
    with _connected(url) as connection:
        check_known(connection)
        config.attributes["connection"] = connection
        try:
            migration(config)
        except CommandError as exc:
            raise SchemaError(str(exc)) from exc


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    database, parsed = database_of(url)
    engine = database.create_migration_engine(parsed)
    try:
        with store_errors(), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    # Config reads its values with %-interpolation.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config
