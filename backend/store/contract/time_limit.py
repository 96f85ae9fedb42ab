# SPDX-License-Identifier: Apache-2.0
"""How long reading may take: set by whoever asks, kept to by each database's own file.

It goes with the context in which a question is answered, so that no method of the store has to hand it on.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TypeVar

from backend.errors import TooLongError

_LOOK_EVERY = 1000
"""Items, of which each takes some microseconds."""
_Item = TypeVar("_Item")


class TimeLimit:
    """Time until which to read. Thread-safe: whoever waits for the answer may give up meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._ends_s = time.monotonic() + seconds
        self._lock = Lock()
        self._has_given_up = False
        self._cancel: Callable[[], object] | None = None

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 where none are."""
        return 0.0 if self._has_given_up else max(0.0, self._ends_s - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""
        return not self.left_s

    def give_up(self) -> None:
        """Let nothing be read from now on. May take as long as it takes to reach the database."""
        with self._lock:
            self._has_given_up = True
            if self._cancel is not None:
                self._cancel()

    @contextmanager
    def cancelling(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Have ``cancel`` called where it is given up within the block."""
        with self._lock:
            self._cancel = cancel
        try:
            yield
        finally:
            # Under the lock: what is cancelled is never the next thing that this connection does.
            with self._lock:
                self._cancel = None


_current: ContextVar[TimeLimit | None] = ContextVar("time_limit", default=None)


@contextmanager
def limited(limit: TimeLimit) -> Iterator[None]:
    """Let all that is read within the block, in threads of it too, keep to a limit."""
    token = _current.set(limit)
    try:
        yield
    finally:
        _current.reset(token)


def current_limit() -> TimeLimit | None:
    """Return the limit that holds here, None where none does."""
    return _current.get()


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
