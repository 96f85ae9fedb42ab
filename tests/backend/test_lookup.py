# SPDX-License-Identifier: Apache-2.0
"""Those who ask at the same time are looked up together, and nobody gets what was found before he asked."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from backend.errors import StoreError
from backend.lookup import Lookup


class _Table:
    """What is there, and what was looked up in it; each look waits to be let go."""

    def __init__(self, **there: int) -> None:
        self.there = there
        self.looks: list[Sequence[str]] = []
        self.go = asyncio.Event()

    async def find(self, hashes: Sequence[str]) -> Mapping[str, int]:
        self.looks.append(hashes)
        found = {name: self.there[name] for name in hashes if name in self.there}
        await self.go.wait()
        return found


async def _until_looked(table: _Table, number: int) -> None:
    while len(table.looks) < number:
        await asyncio.sleep(0)


def test_all_who_ask_during_a_look_are_looked_up_in_the_next() -> None:
    async def run() -> tuple[list[int | None], list[Sequence[str]]]:
        table = _Table(a=1, b=2)
        lookup = Lookup(table.find)
        waiting = [asyncio.create_task(lookup.get("a"))]
        await _until_looked(table, 1)
        waiting += [asyncio.create_task(lookup.get(name)) for name in "abca" * 50]
        await asyncio.sleep(0)
        table.go.set()
        return list(await asyncio.gather(*waiting)), table.looks

    found, looks = asyncio.run(run())
    assert found == [1, *[1, 2, None, 1] * 50]
    assert looks == [["a"], ["a", "b", "c"]]


def test_what_was_taken_away_before_somebody_asked_is_not_found() -> None:
    async def run() -> list[int | None]:
        table = _Table(a=1)
        lookup = Lookup(table.find)
        early = asyncio.create_task(lookup.get("a"))
        await _until_looked(table, 1)
        del table.there["a"]
        late = asyncio.create_task(lookup.get("a"))
        await asyncio.sleep(0)
        table.go.set()
        return list(await asyncio.gather(early, late))

    assert asyncio.run(run()) == [1, None]


def test_whoever_hangs_up_ends_the_look_for_nobody_else() -> None:
    async def run() -> int | None:
        table = _Table(a=1)
        lookup = Lookup(table.find)
        gone, staying = (asyncio.create_task(lookup.get("a")) for _ in range(2))
        await _until_looked(table, 1)
        gone.cancel()
        table.go.set()
        return await staying

    assert asyncio.run(run()) == 1


def test_a_look_that_fails_fails_for_those_who_waited_for_it_and_no_later() -> None:
    async def run() -> int | None:
        async def find(hashes: Sequence[str]) -> Mapping[str, int]:
            failures.append(hashes)
            if len(failures) == 1:
                raise StoreError("the database is away")
            return {"a": 1}

        failures: list[Sequence[str]] = []
        lookup = Lookup(find)
        for failed in await asyncio.gather(*(lookup.get("a") for _ in range(3)), return_exceptions=True):
            assert isinstance(failed, StoreError)
        return await lookup.get("a")

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("asked", [1, 20])
def test_one_who_asks_alone_is_looked_up_at_once(asked: int) -> None:
    async def run() -> list[Sequence[str]]:
        table = _Table(a=1)
        table.go.set()
        lookup = Lookup(table.find)
        for _ in range(asked):
            assert await lookup.get("a") == 1
        return table.looks

    assert asyncio.run(run()) == [["a"]] * asked
