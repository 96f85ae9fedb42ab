# SPDX-License-Identifier: Apache-2.0
"""Threads set aside for one purpose, so that no other purpose can take them all."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from backend.errors import BusyError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class Threads:
    """So many calls run at once; more wait, in the order in which they came."""

    def __init__(self, most: int, *, most_waiting: int | None = None) -> None:
        """Make some.

        :param most_waiting: so many wait at most; None where something else bounds them
        """
        self._limiter = CapacityLimiter(most)
        self._most_calls = None if most_waiting is None else most + most_waiting
        self._calls = 0
        """That run or wait. The limiter knows of one that waits only once the event loop has gone round."""

    async def run(
        self, call: Callable[_Parameters, _Result], *args: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """Run a call in one of the threads, in the caller's context, and return its result.

        :raises BusyError: too many wait already
        """
        if self._most_calls is not None and self._calls >= self._most_calls:
            raise BusyError("too many wait for this already; try again")
        self._calls += 1
        try:
            return await to_thread.run_sync(lambda: call(*args, **named), limiter=self._limiter)
        finally:
            self._calls -= 1
