# SPDX-License-Identifier: Apache-2.0
"""What the database's libraries raise, as the server's own errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from backend.errors import SchemaError, StoreError
from backend.store.contract.time_limit import check_time

_UNDEFINED = ("42P01", "42703")
"""PostgreSQL's codes for a table and a column that are not there. Its driver is imported where it is used."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the database's libraries raise into one line.

    :raises TooLongError: the time to read is over
    :raises SchemaError: it has other tables than this version's
    :raises StoreError: the database cannot be reached or used
    """
    try:
        yield
    except DBAPIError as exc:
        check_time(exc)
        raise store_error(exc.orig) from exc
    except SQLAlchemyError as exc:
        raise StoreError(f"database: {_first_line(exc)}") from exc


def store_error(exc: BaseException | None) -> StoreError:
    """Return what a driver raised as the server's own error."""
    said = f"database: {_first_line(exc)}"
    if _is_of_other_tables(exc):
        return SchemaError(
            f"{said}; if it was migrated while this server ran, restart the server in the version that did"
        )
    return StoreError(said)


def _is_of_other_tables(exc: BaseException | None) -> bool:
    if getattr(exc, "sqlstate", None) in _UNDEFINED:
        return True
    # SQLite has no code of its own for these.
    return isinstance(exc, sqlite3.OperationalError) and any(
        said in str(exc) for said in ("no such table", "no such column", "has no column named")
    )


def _first_line(exc: BaseException | None) -> str:
    return str(exc).strip().partition("\n")[0]
