# SPDX-License-Identifier: Apache-2.0
"""Who cannot have a stream, and who is too slow for one. The rest: ``tests/pipeline/test_stream.py``."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from backend.app import create_app
from backend.live import Live
from backend.query.cursors import Listed, event_id, place_cursor
from backend.store.contract.store import Store
from tests.backend.api.slow_readers import SlowReader
from tests.backend.serving import SETTINGS, Server
from tests.batches import NS_PER_S, START_NS, exit_record, livelock, make_batch, make_host

EACH, BATCHES = 4000, 4
"""More than is kept for readers that are behind, by one batch and more."""
ANSWERED_S = 120.0


@pytest.mark.parametrize(
    "last_id",
    ["x", "0" * 18, "d" * 65, "dAAA", place_cursor(Listed.EXITS, 1, 1), event_id(-1, 0), "d\u00e4"],
)
def test_an_id_of_no_event_is_refused(server: Server, last_id: str) -> None:
    headers = {b"Last-Event-ID": last_id.encode("latin-1")}
    answer = server.request("GET", "/api/v1/stream", headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["parameter"] for error in answer.json()["errors"]] == ["Last-Event-ID"]


@pytest.mark.parametrize(
    ("asked", "status", "parameter"),
    [
        ({"from": "now"}, 400, "from"),
        ({"state": "running"}, 400, "state"),
        ({"kind": "memory_fault"}, 400, "kind"),
        ({"arch": "x86_64", "vm": "0000000000000001"}, 400, "vm"),
        ({"guest": "nobody"}, 400, "guest"),
        ({"vm": "00000000000000ff"}, 404, None),
        ({"guest": "00000000000000ff"}, 404, None),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    server: Server, asked: dict[str, str], status: int, parameter: str | None
) -> None:
    answer = server.request("GET", "/api/v1/stream", params=asked)
    assert answer.status_code == status, answer.text
    assert [error["parameter"] for error in answer.json()["errors"]] == ([parameter] if parameter else [])


def _store_exits(store: Store, host: int, sequence: int, first: int, count: int) -> None:
    """Store exits of a host's VM, each with a number of its own as its size, and a livelock of the first."""
    at_ns = START_NS + sequence * NS_PER_S
    batch = make_batch(
        sequence,
        host=make_host(f"host-{host}", boot_id=f"boot-{host}"),
        stream=f"{host + 1:032x}",
        exits=[
            exit_record(f"{host + 1:016x}", size=number, time_ns=at_ns)
            for number in range(first, first + count)
        ],
        livelocks=[livelock(f"{host + 1:016x}", second=sequence, began=sequence)] if host == 0 else [],
    )
    assert store.apply(batch, START_NS + 3600 * NS_PER_S)


async def _read_until_missed(reader: SlowReader) -> tuple[Counter[str], str, Any]:
    """Read what was sent already. Return how much of each kind, and id and data of what tells the rest."""
    read: Counter[str] = Counter()
    while (event := await reader.next())[1] != "missed":
        if event[1] == "exit":
            assert event[2]["size"] == read["exit"]
        read[event[1]] += 1
    assert event[2]["reason"] == "slow"
    return read, event[0], event[2]


async def _announces_what_it_stored(store: Store, live: Live) -> None:
    app = create_app(SETTINGS, store, live=live)
    slow, other = SlowReader(app, host="host-0"), SlowReader(app, host="host-1")
    picky = SlowReader(app, host="host-0", kind="exit")
    for reader in (slow, picky, other):
        await reader.begin()
    for number, readers in enumerate(((slow, picky), (other,))):
        _store_exits(store, number, 0, 0, 1)
        live.announce(f"host-{number}", START_NS)
        if number == 0:
            assert (await slow.next())[1] == "livelock"
        for reader in readers:
            assert (await reader.next())[2]["size"] == 0
    for sequence in range(1, BATCHES + 1):
        _store_exits(store, 0, sequence, (sequence - 1) * EACH, EACH)
        _store_exits(store, 1, sequence, sequence, 1)
        live.announce("host-1", START_NS)
        # The server has read all until then.
        assert (await other.next())[2]["size"] == sequence
    read, _, missed_exits = await _read_until_missed(picky)
    assert (read["livelock"], missed_exits["count"]) == (0, EACH * BATCHES - read["exit"])
    read, last_id, missed = await _read_until_missed(slow)
    assert missed["count"] == (EACH + 1) * BATCHES - read.total()
    _store_exits(store, 0, BATCHES + 1, 10**6, 1)
    live.announce("host-0", START_NS)
    assert (await slow.next())[1] == "livelock"
    assert (await slow.next())[2]["size"] == 10**6

    again = SlowReader(app, missed["after"], host="host-0")
    await again.begin()
    had = [(await again.next())[1:] for _ in range(missed["count"])]
    exits = [item for name, item in had if name == "exit"]
    assert [item["size"] for item in exits] == list(range(read["exit"], EACH * BATCHES))
    assert [name for name, _ in had].count("livelock") == BATCHES - read["livelock"]
    times = [item["time" if name == "exit" else "seen_at"] for name, item in had]
    assert (missed["first"], missed["last"]) == (min(times), max(times))
    assert [(await again.next())[1] for _ in range(2)] == ["livelock", "exit"]

    resumed = SlowReader(app, last_id, host="host-0")
    await resumed.begin()
    assert [(await resumed.next())[1] for _ in range(2)] == ["livelock", "exit"]
    for reader in (slow, picky, other, again, resumed):
        await reader.leave()


def test_a_slow_reader_announces_what_it_stored_what_it_missed_and_can_have_it(store: Store) -> None:
    asyncio.run(asyncio.wait_for(_announces_what_it_stored(store, Live()), ANSWERED_S))
