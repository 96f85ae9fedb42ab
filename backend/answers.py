# SPDX-License-Identifier: Apache-2.0
"""Answers that readers share: equal questions are answered once, and nobody's is answered in vain."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from anyio import to_thread

from backend.precedence import Precedence
from backend.slots import Slots
from backend.store.contract.time_limit import TimeLimit, limited

READ_S = 30.0
"""An answer must be made by then. A page of a day's counts of a hundred VMs takes a tenth of it."""
_MAX_KEPT_BYTES = 8 * 1024 * 1024

_Answer = TypeVar("_Answer")


class HungUpError(Exception):
    """Whoever asked does not wait any more."""


@dataclass(slots=True)
class _Run(Generic[_Answer]):
    """One making of an answer. ``stamp`` is what it was made of, known once it is at work."""

    task: "asyncio.Task[_Answer] | None" = None
    stamp: Hashable = None
    limit: TimeLimit | None = None
    waiting: int = 0


@dataclass(slots=True)
class _Question(Generic[_Answer]):
    """Who works on a question now, and who will next for those who asked since: data may be new to them."""

    now: _Run[_Answer] | None = None
    next: _Run[_Answer] | None = None


@dataclass(slots=True)
class _Kept(Generic[_Answer]):
    stamp: Hashable = None
    answers: dict[Hashable, _Answer] = field(default_factory=dict)
    left_bytes: int = _MAX_KEPT_BYTES


class Answers(Generic[_Answer]):
    """Has questions answered in slots, within a time, each once for all who ask it at the same time.

    An answer is kept for as long as the stamp stays what it was: the second, and what is stored. Belongs to
    an event loop.
    """

    def __init__(
        self,
        slots: Slots,
        stamp: Callable[[], Hashable],
        size_of: Callable[[_Answer], int | None],
        precedence: Precedence,
        *,
        read_s: float = READ_S,
    ) -> None:
        """Make an empty one.

        :param stamp: equal as long as the same question has the same answer
        :param size_of: an answer's bytes; None where it is not to be kept
        :param precedence: what has others give way while an answer is made
        """
        self._slots = slots
        self._stamp = stamp
        self._size_of = size_of
        self._precedence = precedence
        self._read_s = read_s
        self._questions: dict[Hashable, _Question[_Answer]] = {}
        self._kept: _Kept[_Answer] = _Kept()

    def is_known(self, question: Hashable) -> bool:
        """Return whether a question's answer is there, or somebody works on it."""
        return question in self._questions or self._find(question, self._stamp()) is not None

    async def answer(
        self,
        question: Hashable,
        client: str,
        make: Callable[[], Awaitable[_Answer]],
        hung_up: Callable[[], Awaitable[None]],
    ) -> _Answer:
        """Return what ``make`` returns, or has returned to somebody else.

        :param client: who asks
        :param hung_up: returns when whoever asks has gone
        :raises BusyError: others are served now
        :raises HungUpError: whoever asks has gone
        """
        stamp = self._stamp()
        if (kept := self._find(question, stamp)) is not None:
            return kept
        run = self._joined(question, stamp) or self._begun(question, client, make)
        return await self._awaited(run, hung_up)

    async def known(self, question: Hashable, hung_up: Callable[[], Awaitable[None]]) -> _Answer:
        """Return an answer that is there, or is being made for somebody else, as ``answer`` does.

        :raises LookupError: nobody asks this now
        """
        stamp = self._stamp()
        if (kept := self._find(question, stamp)) is not None:
            return kept
        if (run := self._joined(question, stamp)) is None:
            raise LookupError
        return await self._awaited(run, hung_up)

    async def _awaited(self, run: _Run[_Answer], hung_up: Callable[[], Awaitable[None]]) -> _Answer:
        assert run.task is not None
        run.waiting += 1
        gone = asyncio.ensure_future(hung_up())
        try:
            await asyncio.wait({run.task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if run.task.done():
                return run.task.result()
            raise HungUpError
        finally:
            gone.cancel()
            run.waiting -= 1
            if not run.waiting and not run.task.done():
                await _abandon(run)

    def _find(self, question: Hashable, stamp: Hashable) -> _Answer | None:
        return self._kept.answers.get(question) if self._kept.stamp == stamp else None

    def _joined(self, question: Hashable, stamp: Hashable) -> _Run[_Answer] | None:
        """Return who makes the answer of what is known now."""
        known = self._questions.get(question, _Question())
        if known.now is not None and known.now.stamp in (None, stamp) and not _is_given_up(known.now):
            return known.now
        if known.next is not None and not _is_given_up(known.next):
            return known.next
        return None

    def _begun(
        self, question: Hashable, client: str, make: Callable[[], Awaitable[_Answer]]
    ) -> _Run[_Answer]:
        known = self._questions.setdefault(question, _Question())
        run: _Run[_Answer] = _Run()
        before = known.now
        if before is None:
            known.now = run
        else:
            known.next = run
        run.task = asyncio.create_task(self._work(question, run, before, client, make))
        # A failure that nobody waits for any more is no news.
        run.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return run

    async def _work(
        self,
        question: Hashable,
        run: _Run[_Answer],
        before: _Run[_Answer] | None,
        client: str,
        make: Callable[[], Awaitable[_Answer]],
    ) -> _Answer:
        try:
            if before is not None and before.task is not None:
                await asyncio.wait({before.task})
            async with self._slots.one(client):
                run.limit = TimeLimit(self._read_s)
                run.stamp = self._stamp()
                with limited(run.limit), self._precedence.answering():
                    answer = await make()
                self._keep(question, run.stamp, answer)
                return answer
        finally:
            self._forget(question, run)

    def _forget(self, question: Hashable, run: _Run[_Answer]) -> None:
        known = self._questions.get(question)
        if known is None:
            return
        if known.now is run:
            known.now, known.next = known.next, None
        elif known.next is run:
            known.next = None
        if known.now is None:
            del self._questions[question]

    def _keep(self, question: Hashable, stamp: Hashable, answer: _Answer) -> None:
        size = self._size_of(answer)
        if size is None:
            return
        if stamp != self._kept.stamp:
            self._kept = _Kept(stamp)
        if size <= self._kept.left_bytes:
            self._kept.answers[question] = answer
            self._kept.left_bytes -= size


def _is_given_up(run: _Run[_Answer]) -> bool:
    if run.limit is not None:
        return run.limit.is_over
    return run.task is not None and run.task.cancelling() > 0


async def _abandon(run: _Run[_Answer]) -> None:
    assert run.task is not None
    if run.limit is None:
        run.task.cancel()
    else:
        # Its thread goes on to the next look at the limit. To end a statement may take a connection.
        with contextlib.suppress(Exception):
            await to_thread.run_sync(run.limit.give_up)
    # Whoever ends the server once its requests have ended finds no thread at work.
    await asyncio.wait({run.task})
