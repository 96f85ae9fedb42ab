"""What the database's libraries raise, as the server's own errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from backend.errors import StoreError
from backend.store.contract.time_limit import check_time


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the database's libraries raise into one line.

    :raises TooLongError: the time to read is over
    :raises StoreError: the database cannot be reached or used
    """
    try:
        yield
    except DBAPIError as exc:
        check_time(exc)
        raise StoreError(f"database: {_first_line(exc.orig)}") from exc
    except SQLAlchemyError as exc:
        raise StoreError(f"database: {_first_line(exc)}") from exc


def _first_line(exc: BaseException | None) -> str:
    return str(exc).strip().partition("\n")[0]
