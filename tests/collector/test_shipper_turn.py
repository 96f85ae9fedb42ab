# SPDX-License-Identifier: Apache-2.0
"""What was put aside is tried again, ever more rarely, and only while others are taken."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from collector.ship.answer import Answer, Verdict
from collector.ship.turn import Turn
from collector.spool.aside import Reason
from collector.spool.queue import Spool
from tests.collector.spooling import parcels

TAKEN = Answer(Verdict.ACCEPTED, status=200)
DAMAGED = Answer(Verdict.REFUSED, "400 not a batch", code="damaged", status=400)
OWN = Answer(Verdict.LATER, "409 another's VM", code="identity_conflict", status=409)
PROXY = Answer(Verdict.LATER, "413 Request Entity Too Large", status=413)
UNREACHED = Answer(Verdict.LATER, "Connection refused", was_reached=False)
BUSY = Answer(Verdict.LATER, "503 busy", code="busy", status=503)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path) as opened:
        opened.put_group(parcels(*(b"%d" % number for number in range(1, 10))))
        yield opened


def _answer(turn: Turn, *answers: Answer) -> list[int]:
    """Give answers one after the other; return which batches were sent."""
    sent = []
    for answer in answers:
        batch = turn.next()
        assert batch is not None
        sent.append(batch.number)
        turn.see(batch, answer)
    return sent


@pytest.mark.parametrize("answer", [UNREACHED, BUSY, Answer(Verdict.LATER, "502", status=502)])
def test_where_nobody_can_take_anything_the_order_stays(spool: Spool, answer: Answer) -> None:
    assert _answer(Turn(spool), *[answer] * 20, TAKEN, TAKEN) == [*[1] * 21, 2]


def test_several_in_front_that_are_not_taken_are_all_put_aside(spool: Spool) -> None:
    turn = Turn(spool)
    assert _answer(turn, PROXY, PROXY, PROXY, PROXY, PROXY, TAKEN) == [1, 1, 1, 2, 1, 3]
    assert _answer(turn, PROXY, PROXY, TAKEN) == [1, 2, 4]
    assert list(spool.aside) == [1, 2]


def test_one_whose_answer_is_another_the_next_time_stays(spool: Spool) -> None:
    turn = Turn(spool)
    assert _answer(turn, PROXY, PROXY, PROXY, TAKEN, OWN) == [1, 1, 1, 2, 1]
    assert list(spool.aside) == []


def test_one_that_goes_while_it_is_suspected_holds_up_nobody(spool: Spool) -> None:
    turn = Turn(spool)
    _answer(turn, PROXY, PROXY, PROXY, TAKEN)
    spool.remove(1)
    assert _answer(turn, TAKEN) == [3]


def test_what_is_put_aside_is_tried_again_after_a_while_and_then_more_rarely(spool: Spool) -> None:
    clock = Clock()
    turn = Turn(spool, monotonic=clock)
    spool.put_aside(1, Reason("413", ""))
    _answer(turn, PROXY)
    tries = [clock.now_s]
    while clock.now_s < 4000:
        clock.now_s += 1
        batch = turn.next()
        assert batch is not None
        if batch.number == 1:
            tries.append(clock.now_s)
            turn.see(batch, PROXY)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:3] == [15, 30, 60]
    assert max(pauses) == pauses[-1] == 600
    assert list(spool.aside) == [1]


def test_as_soon_as_one_is_taken_the_others_follow(spool: Spool) -> None:
    clock = Clock()
    turn = Turn(spool, monotonic=clock)
    for number in (1, 2, 3):
        spool.put_aside(number, Reason("413", ""))
    assert _answer(turn, PROXY, TAKEN) == [1, 4]
    clock.now_s = 15
    assert _answer(turn, TAKEN, TAKEN, PROXY, TAKEN) == [2, 3, 1, 5]
    assert list(spool.aside) == [1]


def test_nothing_that_was_put_aside_is_tried_while_nothing_else_is_taken(spool: Spool) -> None:
    clock = Clock()
    turn = Turn(spool, monotonic=clock)
    spool.put_aside(1, Reason("413", ""))
    clock.now_s = 1000
    _answer(turn, PROXY)
    assert 1 not in _answer(turn, *[OWN] * 6)


@pytest.mark.parametrize("reason", [Reason("400", "damaged"), Reason("it counts for host 'h1'", host="h1")])
def test_what_cannot_be_taken_as_it_is_is_not_tried_again(spool: Spool, reason: Reason) -> None:
    spool.put_aside(1, reason)
    assert _answer(Turn(spool), TAKEN) == [2]


def test_what_turns_out_to_be_damaged_is_not_tried_again(spool: Spool) -> None:
    clock = Clock()
    turn = Turn(spool, monotonic=clock)
    spool.put_aside(1, Reason("413", ""))
    _answer(turn, DAMAGED)
    clock.now_s = 10_000
    assert _answer(turn, TAKEN) == [2]
    assert [reason.code for reason in spool.aside.values()] == ["damaged"]
