"""Threads set aside for one purpose, so that no other purpose can take them all."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class Threads:
    """So many calls run at once; more wait, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._limiter = CapacityLimiter(most)

    async def run(
        self, call: Callable[_Parameters, _Result], *args: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """Run a call in one of the threads, in the caller's context, and return its result."""
        return await to_thread.run_sync(lambda: call(*args, **named), limiter=self._limiter)
