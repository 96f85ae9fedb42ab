# SPDX-License-Identifier: Apache-2.0
"""Equal questions are answered once, with what is stored when they are asked, and never in vain."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from backend.answers import Answers, HungUpError
from backend.errors import BusyError, TooLongError
from backend.precedence import Precedence
from backend.slots import Slots
from backend.store.contract.time_limit import TimeLimit, current_limit

END_S = 60.0


class Asked:
    """Answers that a test makes by hand, of a store whose state is a number."""

    def __init__(self, *, slots: Slots | None = None, read_s: float = END_S) -> None:
        self.state = 0
        self.made: list[int] = []
        self.limits: list[TimeLimit] = []
        self.go = asyncio.Event()
        self.precedence = Precedence()
        self.answers: Answers[int] = Answers(
            slots or Slots(), lambda: self.state, lambda _: 1, self.precedence, read_s=read_s
        )

    async def ask(self, question: str = "q", hung_up: Callable[[], Awaitable[None]] | None = None) -> int:
        """Ask, and wait for the answer: the state when it was begun."""
        return await self.answers.answer(question, "client", self._make, hung_up or _never)

    async def _make(self) -> int:
        state = self.state
        self.made.append(state)
        limit = current_limit()
        assert limit is not None
        self.limits.append(limit)
        await _until(lambda: self.go.is_set() or limit.is_over)
        if not self.go.is_set():
            raise TooLongError
        return state


async def _never() -> None:
    await asyncio.Event().wait()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(END_S):
        while not condition():
            await asyncio.sleep(0)


def test_equal_questions_at_the_same_time_are_answered_once() -> None:
    async def run() -> tuple[list[int], list[int]]:
        asked = Asked()
        waiting = [asyncio.create_task(asked.ask()) for _ in range(48)]
        await _until(lambda: bool(asked.made))
        asked.go.set()
        return list(await asyncio.gather(*waiting)), asked.made

    assert asyncio.run(run()) == ([0] * 48, [0])


def test_others_give_way_while_an_answer_is_made_and_no_longer() -> None:
    async def run() -> bool:
        asked = Asked()
        asked.precedence.at_most_s = END_S
        waiting = asyncio.create_task(asked.ask())
        await _until(lambda: bool(asked.made))
        behind = asyncio.create_task(asked.precedence.give_way())
        await asyncio.sleep(0)
        was_waiting = not behind.done()
        asked.go.set()
        await waiting
        await behind
        return was_waiting

    assert asyncio.run(run())


def test_an_answer_is_kept_until_something_changes() -> None:
    async def run() -> list[int]:
        asked = Asked()
        asked.go.set()
        assert [await asked.ask(), await asked.ask()] == [0, 0]
        asked.state = 1
        assert [await asked.ask(), await asked.ask()] == [1, 1]
        return asked.made

    assert asyncio.run(run()) == [0, 1]


def test_who_asks_after_a_change_never_gets_what_was_begun_before_it() -> None:
    async def run() -> tuple[list[int], list[int]]:
        asked = Asked()
        early = asyncio.create_task(asked.ask())
        await _until(lambda: bool(asked.made))
        asked.state = 1
        late = [asyncio.create_task(asked.ask()) for _ in range(10)]
        await asyncio.sleep(0)
        asked.go.set()
        return list(await asyncio.gather(early, *late)), asked.made

    assert asyncio.run(run()) == ([0, *[1] * 10], [0, 1])


def test_who_only_joins_begins_nothing_and_is_worked_for() -> None:
    async def run() -> None:
        asked = Asked()
        with pytest.raises(LookupError):
            await asked.answers.known("q", _never)
        assert not asked.answers.is_known("q")
        hung_up = asyncio.Event()

        async def gone() -> None:
            await hung_up.wait()

        first = asyncio.create_task(asked.ask(hung_up=gone))
        await _until(lambda: bool(asked.made))
        joined = asyncio.create_task(asked.answers.known("q", _never))
        await asyncio.sleep(0)
        hung_up.set()
        with pytest.raises(HungUpError):
            await first
        asked.state = 1
        # What is made is of the state before.
        with pytest.raises(LookupError):
            await asked.answers.known("q", _never)
        asked.go.set()
        assert await joined == 0
        assert asked.made == [0]
        assert await asked.ask() == await asked.answers.known("q", _never) == 1

    asyncio.run(run())


def test_the_last_who_hangs_up_ends_the_work_and_only_the_last() -> None:
    async def run() -> None:
        asked = Asked()
        hung_up = asyncio.Event()

        async def gone() -> None:
            await hung_up.wait()

        first = asyncio.create_task(asked.ask(hung_up=gone))
        stays_gone = asyncio.Event()

        async def gone_later() -> None:
            await stays_gone.wait()

        second = asyncio.create_task(asked.ask(hung_up=gone_later))
        await _until(lambda: bool(asked.limits))
        limit = asked.limits[0]
        hung_up.set()
        with pytest.raises(HungUpError):
            await first
        assert not limit.is_over
        stays_gone.set()
        with pytest.raises(HungUpError):
            await second
        assert limit.is_over
        # What is given up is not handed to whoever asks next.
        third = asyncio.create_task(asked.ask())
        asked.go.set()
        assert await third == 0
        assert len(asked.made) == 2

    asyncio.run(run())


def test_who_hangs_up_while_waiting_for_a_turn_is_never_worked_for() -> None:
    async def run() -> list[int]:
        asked = Asked(slots=Slots(at_work=1, of_client=1, wait_s=END_S))
        first = asyncio.create_task(asked.ask("one"))
        await _until(lambda: bool(asked.made))
        hung_up = asyncio.Event()

        async def gone() -> None:
            await hung_up.wait()

        second = asyncio.create_task(asked.ask("two", hung_up=gone))
        await asyncio.sleep(0)
        hung_up.set()
        with pytest.raises(HungUpError):
            await second
        asked.go.set()
        await first
        return asked.made

    assert asyncio.run(run()) == [0]


def test_a_failure_goes_to_all_who_wait_and_not_kept() -> None:
    async def run() -> None:
        slots = Slots(at_work=1, of_client=1, waiting=0)
        asked = Asked(slots=slots)
        async with slots.one("other"):
            for result in await asyncio.gather(asked.ask(), asked.ask(), return_exceptions=True):
                assert isinstance(result, BusyError)
        asked.go.set()
        assert await asked.ask() == 0

    asyncio.run(run())


def test_an_answer_has_a_time_in_which_it_must_be_made() -> None:
    async def run() -> TimeLimit:
        asked = Asked(read_s=0)
        asked.go.set()
        await asked.ask()
        return asked.limits[0]

    assert asyncio.run(run()).is_over
