# SPDX-License-Identifier: Apache-2.0
"""Which revision a database's tables are at: without Alembic, which takes a third of a server's start."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect

from backend.errors import SchemaError

COPYING = "copying"
"""The table that a database has while it is copied into."""


def check_revision(connection: Connection) -> None:
    """Compare the database's revision to this version's.

    :raises SchemaError: it is another, or there is none
    """
    needed = revisions()[0]
    found = found_revision(connection)
    if found == needed:
        return
    # Without the URL, which may hold a password.
    how = "run: kvmfaults-server migrate --database URL"
    if not found:
        raise SchemaError(f"the database has no tables of kvmfaults yet; {how}")
    at = f"the database is at revision {found}, this version needs {needed}"
    if found in revisions():
        raise SchemaError(f"{at}; {how}")
    raise SchemaError(f"{at}; a later version has migrated it, use that one")


def check_whole(connection: Connection) -> None:
    """Check that nothing is copied into the database. :raises SchemaError: a copy has not come to its end"""
    if inspect(connection).has_table(COPYING):
        raise SchemaError(
            "the database is being copied into; let kvmfaults-server copy come to its end, or begin with an"
            " empty database"
        )


def check_known(connection: Connection) -> None:
    """Refuse a database of a later version, whose tables this one cannot bring anywhere.

    :raises SchemaError: the database is at a revision that this version does not know
    """
    found = found_revision(connection)
    if found and found not in revisions():
        raise SchemaError(
            f"the database is at revision {found}, this version knows those up to {revisions()[0]}; "
            "a later version has migrated it, use that one"
        )


def found_revision(connection: Connection) -> str:
    """Return what Alembic has noted in the database; empty if nothing."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    found: Sequence[str] = (
        connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    )
    return ", ".join(found)


@cache
def revisions() -> Sequence[str]:
    """Every revision that this version knows, newest first: what its migrations' files begin with."""
    files = (migrations_folder() / "versions").glob("[0-9]*.py")
    return sorted((path.name.partition("_")[0] for path in files), reverse=True)


def migrations_folder() -> Path:
    """The folder in an installed package; in a checkout it is beside the package instead."""
    package = Path(__file__).parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"
