"""What the database's libraries raise, as the server's own errors."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from backend.errors import StoreError, TooLongError
from backend.store.contract.time_limit import current_limit

_LOOK_EVERY = 1000
"""Items, of which each takes some microseconds."""
_Item = TypeVar("_Item")


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


def check_time(cause: Exception | None = None) -> None:
    """Check that there is time left to read. :raises TooLongError: there is none"""
    limit = current_limit()
    if limit is not None and limit.is_over:
        raise TooLongError(
            "this takes too long to read; ask for less: a shorter range, longer steps, or one VM"
        ) from cause


def in_time(items: Iterable[_Item], *, every: int = _LOOK_EVERY) -> Iterator[_Item]:
    """Yield items for as long as there is time to read. :raises TooLongError: there is none left"""
    for number, item in enumerate(items):
        if number % every == 0:
            check_time()
        yield item
