# SPDX-License-Identifier: Apache-2.0
"""How much one host may hand in within a minute, and at once."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from backend.auth import TokenKind
from backend.errors import NotNowError
from backend.ingest import ingest
from backend.quotas import AT_ONCE, MOST_WAITING, Quota, Quotas
from backend.store.contract.bounds import counted_in
from backend.store.contract.store import Store
from faultmodel import wire
from faultmodel.errors import WireError
from faultmodel.kinds import LossKind
from faultmodel.problem import ProblemCode
from faultmodel.record import Loss, Span
from faultmodel.wire import Batch
from tests.backend.serving import Clock, Server
from tests.batches import START_NS, exit_count, fault_count, ledger_entry, make_batch, make_host, make_vm

SPANS = tuple(Span(START_NS + 2 * number, START_NS + 2 * number + 1) for number in range(9))


class Seconds:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def take(quotas: Quotas, batch: Batch, size: int = 1, host: str = "host-1") -> bool:
    """Return whether a batch is within the quota."""
    try:
        quotas.admit(host, size)
        quotas.charge(host, batch, counted=counted_in(batch))
    except NotNowError as exc:
        return exc.code is not ProblemCode.QUOTA
    return True


@pytest.mark.parametrize(
    ("quota", "batches", "size"),
    [
        (Quota(batches=2), [make_batch()] * 3, 1),
        (Quota(bytes=250), [make_batch()] * 3, 100),
        (Quota(rows=7), [make_batch(fault_counts=[fault_count()])] * 3, 1),
        (Quota(new_vms=2), [make_batch(vms=[make_vm(f"{number:016x}")]) for number in range(3)], 1),
        (Quota(spans=20), [make_batch(covered=SPANS)] * 3, 1),
        (Quota(counted=20), [make_batch(fault_counts=[fault_count(faults=9)])] * 3, 1),
        (Quota(counted=20), [make_batch(exit_counts=[exit_count(count=9)])] * 3, 1),
        (Quota(counted=20), [make_batch(lost=[Loss(LossKind.KEYS_FULL, 9)])] * 3, 1),
        (Quota(counted=20), [make_batch(fault_counts=[fault_count(mapped_4k=9)])] * 3, 1),
        (Quota(counted=20), [make_batch(fault_counts=[fault_count(faults=1, nested=4, private=4)])] * 3, 1),
        (Quota(counted=20), [make_batch(fault_counts=[fault_count(prefetched=9)])] * 3, 1),
    ],
)
def test_what_is_beyond_a_minutes_quota_is_for_later(quota: Quota, batches: list[Batch], size: int) -> None:
    clock = Seconds()
    quotas = Quotas(quota, clock=clock)
    assert [take(quotas, batch, size) for batch in batches] == [True, True, False]
    # Others have their own, and later there is room again.
    assert take(quotas, batches[2], size, host="host-2")
    clock.now_s += 60
    assert take(quotas, batches[2], size)


def test_vms_that_are_known_are_not_new() -> None:
    quotas = Quotas(Quota(new_vms=2), clock=Seconds())
    batch = make_batch(vms=[make_vm("00000000000000a1"), make_vm("00000000000000a2")])
    assert [take(quotas, batch) for _ in range(100)] == [True] * 100


def test_a_host_that_starts_vms_as_fast_as_hosts_do_catches_up_after_an_outage() -> None:
    seconds = Seconds()
    quotas = Quotas(clock=seconds)
    # Twice as many a minute as 150 a second are.
    for number in range(10 * 60):
        seconds.now_s += 0.5
        vms = [make_vm(f"{number * 150 + place:016x}") for place in range(150)]
        assert take(quotas, make_batch(number, vms=vms))


def test_a_batch_that_alone_is_more_than_the_quota_is_taken_once_nothing_else_was() -> None:
    clock = Seconds()
    quotas = Quotas(Quota(rows=1), clock=clock)
    large = make_batch(fault_counts=[fault_count(), fault_count(word=1)])
    assert take(quotas, large)
    assert not take(quotas, large)
    clock.now_s += 600
    assert take(quotas, large)


def test_no_batch_takes_more_than_two_minutes_of_a_quota() -> None:
    clock = Seconds()
    quotas = Quotas(Quota(counted=20), clock=clock)
    assert take(quotas, make_batch(lost=[Loss(LossKind.KEYS_FULL, 2**40)]))
    clock.now_s += 120
    assert take(quotas, make_batch(lost=[Loss(LossKind.KEYS_FULL, 20)]))


@pytest.mark.parametrize(
    "absurd",
    [
        {"lost": [Loss(LossKind.KEYS_FULL, 2**62)]},
        {"exit_counts": [exit_count(count=2**62)]},
        {"fault_counts": [fault_count(faults=2**62)]},
        {"fault_counts": [fault_count(faults=1, mapped_4k=2**39)]},
        {"fault_counts": [fault_count(prefetched=2**62)]},
    ],
)
def test_a_number_that_cannot_be_takes_nothing_of_the_quota(server: Server, absurd: dict[str, Any]) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    refused = server.send(make_batch(0, **absurd), token)
    assert (refused.status_code, refused.json()["code"]) == (400, "damaged")
    assert server.send(make_batch(1, lost=[Loss(LossKind.KEYS_FULL, 2**40)]), token).json()["applied"]


def test_what_is_no_batch_is_counted_before_it_is_read(store: Store) -> None:
    quotas = Quotas(Quota(batches=2), clock=Seconds())
    damaged = wire.encode(make_batch(fault_counts=[fault_count()], ledger=[ledger_entry(seen=2)]))
    for expected in (WireError, WireError, NotNowError):
        with pytest.raises(expected):
            ingest(store, quotas, damaged, host="host-1", token="t", now_ns=lambda: START_NS)


def test_so_many_batches_of_a_host_are_taken_at_once_and_the_others_wait() -> None:
    async def scene() -> None:
        quotas, events = Quotas(), []
        go_on = anyio.Event()

        async def hand_in(host: str, number: int) -> None:
            async with quotas.turn(host):
                events.append((host, number))
                await go_on.wait()

        async with anyio.create_task_group() as tasks:
            for number in range(AT_ONCE + MOST_WAITING):
                tasks.start_soon(hand_in, "host-1", number)
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert events == [("host-1", number) for number in range(AT_ONCE)]
            with pytest.raises(NotNowError, match=f"{MOST_WAITING} batches of host host-1 wait already"):
                async with quotas.turn("host-1"):
                    pass
            async with quotas.turn("host-2"):
                pass
            go_on.set()
        assert events == [("host-1", number) for number in range(AT_ONCE + MOST_WAITING)]
        async with quotas.turn("host-1"):
            pass

    anyio.run(scene)


def test_a_host_that_hands_in_too_much_is_refused_and_the_others_are_not_held_up(server: Server) -> None:
    assert isinstance(server.clock, Clock)
    one, two = (server.new_token("ingest", f"host-{number}") for number in (1, 2))  # type: ignore[arg-type]
    answers = []
    # Four of these are a minute's quota, of which a quarter is there again after 15 s.
    for second in range(5):
        counts = [fault_count(second=second, faults=2**40)]
        answers.append(server.send(make_batch(second, fault_counts=counts), one))
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert answers[-1].json()["code"] == "quota"
    assert answers[-1].headers["retry-after"] == "1"
    assert server.send(make_batch(host=make_host("host-2"), stream="2" * 32), two).json()["applied"]
