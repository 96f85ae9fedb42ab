# SPDX-License-Identifier: Apache-2.0
"""The stream, as programs follow it: real servers, killed, several of them, and many readers."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, insert

from backend.auth import TokenKind, hash_token, new_token
from backend.live import MAX_WATCHERS
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.contract.jobs import JobClaim
from backend.store.contract.retention import Kept
from backend.store.sql.migrate import migrate
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import kept_from
from faultmodel.record import Span
from faultmodel.waits import Handler
from faultmodel.wire import Batch
from tests.backend.process import serving
from tests.batches import (
    NS_PER_S,
    START_NS,
    exit_record,
    full_exit_record,
    livelock,
    make_batch,
    make_host,
    make_vm,
    outstanding,
    outstanding_look,
)
from tests.pipeline.servers import ANSWERED_S, ask, hand_in, new_ingest_token, several_servers
from tests.pipeline.stream import Event, following


@pytest.fixture
def postgresql(postgresql_url: str) -> str:
    """Return the URL of a migrated database."""
    migrate(postgresql_url)
    return postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a migrated database of each kind."""
    if request.param == "postgresql":
        migrated: str = request.getfixturevalue("postgresql")
        return migrated
    return new_file(tmp_path / "kvmfaults.db")


def new_file(path: Path) -> str:
    """Make a migrated SQLite file, and return its URL."""
    path.touch(mode=0o600)  # Another mode is warned of.
    migrate(url := f"sqlite:///{path}")
    return url


@dataclass
class Collector:
    """Hands in exits of a host, each of which has a number of its own: its size."""

    database: str
    host: str = "host-1"
    arch: str = "x86_64"
    sequences: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.token = new_ingest_token(self.database, self.host)

    def send(self, url: str, vm: str, *numbers: int, second: int = 0, name: str = "guest") -> None:
        """Hand in a batch with exits of these numbers."""
        at_ns = START_NS + second * NS_PER_S
        exits = [exit_record(vm, arch_name=self.arch, size=number, time_ns=at_ns) for number in numbers]
        batch = make_batch(
            next(self.sequences),
            host=make_host(self.host, boot_id=self.host, arch=self.arch),
            stream=stream_of(self.host),
            arch=self.arch,
            vms=[make_vm(vm, name=name, uuid="", pid=int(vm, 16) % 1000)],
            exits=exits,
        )
        assert hand_in(url, self.token, batch)


def stream_of(host: str) -> str:
    """Return the id of the stream that a host's batches are of."""
    return host.encode().hex().ljust(32, "0")[-32:]


def numbers(events: Sequence[Event]) -> list[int]:
    """Return the numbers of exits; nothing else may have come."""
    assert {event.name for event in events} <= {"exit"}
    return [event.data["size"] for event in events]


def keep_what_is_to_come(database: str) -> None:
    """Have no exit be kept that is older than some time to come, as the job of retention notes it."""
    from_s = int(time.time()) + 5
    with closing(open_store(database)) as store:
        assert isinstance(store, SqlStore)
        with store.writing() as writer:
            # The job of the server that runs may have noted an earlier time.
            writer.connection.execute(delete(kept_from).where(kept_from.c.kept == Kept.EXITS.value))
            writer.connection.execute(
                insert(kept_from).values(kept=Kept.EXITS.value, from_s=from_s, removed_to_s=from_s)
            )


def vm_id(number: int) -> str:
    """Return a VM's id."""
    return f"{number:016x}"


def test_exits_come_as_they_are_stored_with_the_fields_of_the_list(database: str) -> None:
    collector = Collector(database)
    with serving("--database", database, "--no-collector") as (_, url):
        collector.send(url, vm_id(1), 1)
        with following(url) as stream:
            assert hand_in(url, collector.token, make_batch(9, exits=[full_exit_record(), exit_record()]))
            found = stream.take(2)
            # Of a quarter of an hour ago: its host was away.
            collector.send(url, vm_id(2), 5, second=-900)
            found += stream.take(1)
        listed = ask(url, "exits", limit=10)["items"]
    assert [event.name for event in found] == ["exit"] * 3
    assert sorted((event.data for event in found), key=listed.index) == [
        item for item in listed if item["vm"] != vm_id(1)
    ]


def test_a_stream_resumes_exactly_where_servers_are_killed(database: str) -> None:
    """After each event that it has read, and wherever the reader or the server ended."""
    collector = Collector(database)
    with serving("--database", database, "--no-collector") as (server, url), following(url) as stream:
        begin = stream.last_id
        collector.send(url, vm_id(1), *range(5))
        events = stream.take(3)
        server.kill()
        server.wait()
        events += stream.rest()
    assert numbers(events) == list(range(len(events)))
    with serving("--database", database, "--no-collector") as (_, url):
        collector.send(url, vm_id(1), *range(5, 8))
        for last_id, seen in [(begin, 0), *((event.id, number + 1) for number, event in enumerate(events))]:
            with following(url, last_id) as stream:
                assert numbers(stream.take(8 - seen)) == list(range(seen, 8))
        with following(url, stream.last_id) as stream:
            collector.send(url, vm_id(1), 8)
            assert numbers(stream.take(1)) == [8]


def states(*, second: int, **sections: Any) -> Batch:
    """Return a batch of a host's second: livelocks, faults under way and an exit."""
    looks = [outstanding_look(second)]
    return make_batch(second, exits=[exit_record(time_ns=START_NS)], outstanding_looks=looks, **sections)


def kinds(events: Sequence[Event]) -> list[str]:
    """Return the names of events."""
    return [event.name for event in events]


def test_what_begins_changes_and_ends_comes_between_exits_as_the_lists_have_it(database: str) -> None:
    """And again, behind each event, to whoever comes back with its id: at a server that was not there."""
    token = new_ingest_token(database, "host-1")
    with serving("--database", database, "--no-collector") as (_, url), following(url) as stream:
        begin = stream.last_id
        fault, stuck = outstanding(second=0), livelock(second=0)
        assert hand_in(url, token, states(second=0, livelocks=[stuck], outstanding=[fault]))
        events = stream.take(3)
        assert kinds(events) == ["livelock", "outstanding", "exit"]
        assert [events[0].data] == ask(url, "livelocks")["items"]
        # As old as it was when it was listed; in the list it ages.
        (listed,) = ask(url, "outstanding")["items"]
        assert events[1].data == listed | {"age_s": 3.0}
        changed = outstanding(second=1, age_ns=4 * NS_PER_S, handler=Handler.ALIVE)
        over = livelock(second=1, is_over=True)
        assert hand_in(url, token, states(second=1, livelocks=[over], outstanding=[changed]))
        assert hand_in(url, token, states(second=2))
        events += stream.take(5)
        assert kinds(events[3:]) == ["livelock", "outstanding", "exit", "resolved", "exit"]
        assert [events[3].data] == ask(url, "livelocks")["items"]
        assert events[3].data["until"] is not None
        assert (events[4].data["handler"], events[4].data) == ("alive", events[6].data)
    with serving("--database", database, "--no-collector") as (_, url):
        for place, last_id in enumerate([begin, *(event.id for event in events[:-1])]):
            with following(url, last_id) as stream:
                found = stream.take(len(events) - place)
            assert [(event.name, event.data) for event in found] == [
                (event.name, event.data) for event in events[place:]
            ]
        with following(url, begin, kind=["livelock", "resolved"]) as stream:
            assert kinds(stream.take(3)) == ["livelock", "livelock", "resolved"]


def test_ids_of_one_server_are_good_at_another_and_each_sees_what_the_others_store(postgresql: str) -> None:
    collectors = [Collector(postgresql, f"host-{number}") for number in range(2)]
    with several_servers(postgresql, 2) as servers:
        ours, theirs = servers.url(0), servers.url(1)
        with following(ours) as stream, following(theirs) as other:
            sent = 0
            for sequence in range(10):
                for at, collector in enumerate(collectors):
                    url = servers.url((at + sequence) % 2)
                    collector.send(url, vm_id(at + 1), *range(sent, sent + 5))
                    sent += 5
            found, others = stream.take(sent), other.take(sent)
        assert [event.data for event in found] == [event.data for event in others]
        assert sorted(numbers(found)) == list(range(sent))
        for place in (0, 7, 50, 98):
            with following(theirs, found[place].id) as stream:
                rest = stream.take(sent - place - 1)
            assert [event.data for event in rest] == [event.data for event in found[place + 1 :]]


LISTS = 6
LONG_AGO = -1000 * 86_400
"""Seconds from ``START_NS``. Times ahead of the server's clock would be set back, each as it comes."""


def lists_of(host: str, vm: str) -> list[Batch]:
    """Return what a host lists, second after second: each fault is listed twice, and no more at the end."""
    batches = []
    for number in range(LISTS + 2):
        second = LONG_AGO + number
        at_ns = START_NS + second * NS_PER_S
        faults = [
            outstanding(vm, second=second, vcpu=vcpu, age_ns=(number - vcpu + 1) * NS_PER_S)
            for vcpu in (number - 1, number)
            if 0 <= vcpu < LISTS
        ]
        batches.append(
            make_batch(
                number,
                host=make_host(host, boot_id=host),
                stream=stream_of(host),
                covered=[Span(at_ns, at_ns + NS_PER_S)],
                vms=[make_vm(vm, uuid="", pid=int(vm, 16), started_ns=at_ns)],
                outstanding=faults,
                outstanding_looks=[outstanding_look(second)],
            )
        )
    return batches


def test_faults_under_way_come_once_to_readers_of_either_server_whichever_takes_a_list(
    postgresql: str,
) -> None:
    """Each list is handed in to both at once, while the other host's is."""
    hosts = {f"host-{number}": vm_id(number + 1) for number in range(2)}
    tokens = {host: new_ingest_token(postgresql, host) for host in hosts}

    def deliver(host: str) -> None:
        for batch in lists_of(host, hosts[host]):
            took = pool.map(lambda url, batch=batch: hand_in(url, tokens[host], batch), urls)
            assert sorted(took) == [False, True]

    with several_servers(postgresql, 2) as servers, ThreadPoolExecutor(4) as pool:
        urls = [servers.url(0), servers.url(1)]
        with following(urls[0]) as stream, following(urls[1]) as other, ThreadPoolExecutor(2) as senders:
            begin = stream.last_id
            list(senders.map(deliver, hosts))
            expected = 2 * LISTS * len(hosts)
            found, others = stream.take(expected), other.take(expected)
        with following(urls[1], begin) as again:
            resumed = again.take(expected)
        assert ask(urls[0], "outstanding")["items"] == []
    for same in (others, resumed):
        assert [(one.name, one.data) for one in same] == [(one.name, one.data) for one in found]
    for vm in hosts.values():
        of_vm = [(one.name, one.data["vcpu"]) for one in found if one.data["vm"] == vm]
        assert of_vm == [
            change
            for second in range(LISTS + 2)
            for change in (("resolved", second - 2), ("outstanding", second))
            if 0 <= change[1] < LISTS
        ]


def test_workers_of_one_server_stream_what_each_of_them_stores(database: str) -> None:
    collector = Collector(database)
    with (
        serving("--database", database, "--no-collector", "--workers", "3") as (_, url),
        ExitStack() as stack,
    ):
        streams = [stack.enter_context(following(url)) for _ in range(6)]
        for number in range(9):
            collector.send(url, vm_id(1), number)
        for stream in streams:
            assert numbers(stream.take(9)) == list(range(9))


def test_streams_have_the_vms_that_are_asked_for_those_to_come_too(tmp_path: Path) -> None:
    database = new_file(tmp_path / "kvmfaults.db")
    one = Collector(database, "rack-1")
    two, three = Collector(database, "rack-2", arch="aarch64"), Collector(database, "web-1")
    with serving("--database", database, "--no-collector") as (_, url), ExitStack() as stack:
        one.send(url, vm_id(1), 0, name="one")
        guest = ask(url, f"vms/{vm_id(1)}")["guest"]
        wanted: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [1, 2, 3, 4, 5]),
            ({"host": "rack-*"}, [1, 2, 4, 5]),
            ({"host": ["rack-1", "web-?"]}, [1, 3, 4, 5]),
            ({"arch": "x86*"}, [1, 3, 4, 5]),
            ({"arch": ["arm64", "x86_64"], "host": "rack-*"}, [1, 2, 4, 5]),
            ({"vm": vm_id(1)}, [1, 5]),
            ({"guest": guest}, [1, 5]),
            ({"name": ["one", "tw*"]}, [1, 2, 3, 5]),
            ({"search": "ONE"}, [1, 4, 5]),
        ]
        streams = [stack.enter_context(following(url, **asked)) for asked, _ in wanted]
        one.send(url, vm_id(1), 1, name="one")
        two.send(url, vm_id(2), 2, name="two")
        three.send(url, vm_id(3), 3, name="two")
        one.send(url, vm_id(4), 4, name="one-b")
        one.send(url, vm_id(1), 5, name="one")
        found = [
            numbers(stream.take(len(expected))) for stream, (_, expected) in zip(streams, wanted, strict=True)
        ]
    assert found == [expected for _, expected in wanted]


def test_readers_that_do_not_read_keep_nobody_waiting(database: str) -> None:
    collector = Collector(database)
    most = MAX_WATCHERS // 2
    with serving("--database", database, "--no-collector") as (_, url), ExitStack() as stack:
        streams = [stack.enter_context(following(url)) for _ in range(most)]
        refused = httpx.get(f"{url}api/v1/stream", timeout=ANSWERED_S)
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        for batch in range(10):
            collector.send(url, vm_id(1), *range(batch * 10, batch * 10 + 10))
        for stream in streams:
            assert numbers(stream.take(100)) == list(range(100))


def test_what_is_not_kept_any_more_is_said(database: str) -> None:
    collector = Collector(database)
    with serving("--database", database, "--no-collector") as (_, url):
        with following(url) as stream:
            begin = stream.last_id
        collector.send(url, vm_id(1), 0, 1)
        keep_what_is_to_come(database)
    with serving("--database", database, "--no-collector") as (_, url):
        with following(url, begin) as stream:
            missed = stream.next()
        assert (missed.name, missed.data["reason"]) == ("missed", "not_kept")
        assert missed.data["kept_from"] == ask(url, "storage")["exits"]["kept_from"]


def test_changes_that_are_not_kept_any_more_are_said_to_whoever_follows_them(tmp_path: Path) -> None:
    database = new_file(tmp_path / "kvmfaults.db")
    token = new_ingest_token(database, "host-1")
    with serving("--database", database, "--no-collector") as (_, url):
        with following(url) as stream:
            begin = stream.last_id
        assert hand_in(url, token, states(second=0, livelocks=[livelock()]))
    later = time.time_ns() + 8 * 86_400 * NS_PER_S
    claim = JobClaim(name="removing", holder="test", began_ns=later, within_ns=3600 * NS_PER_S, every_ns=0)
    with closing(open_store(database)) as store:
        assert store.claim_job(claim)
        assert store.remove_old_changes(later // NS_PER_S, 5, claim) == 1
    with serving("--database", database, "--no-collector") as (_, url):
        with following(url, begin) as stream:
            missed, kept = stream.take(2)
        assert (missed.name, missed.data["reason"], kept.name) == ("missed", "not_kept", "exit")
        assert missed.data["kept_from"] is not None
        with following(url, begin, kind="exit") as stream:
            assert kinds(stream.take(1)) == ["exit"]


def test_an_id_of_another_database_is_said_to_be_unknown(database: str, tmp_path: Path) -> None:
    collector = Collector(database)
    with serving("--database", database, "--no-collector") as (_, url), following(url) as stream:
        collector.send(url, vm_id(1), 0, 1, 2)
        last_id = stream.take(3)[-1].id
    empty = new_file(tmp_path / "other.db")
    other = Collector(empty)
    with serving("--database", empty, "--no-collector") as (_, url), following(url, last_id) as stream:
        missed = stream.next()
        assert (missed.name, missed.data["reason"]) == ("missed", "unknown_id")
        other.send(url, vm_id(1), 9)
        assert numbers(stream.take(1)) == [9]


def test_a_stream_ends_with_its_token_and_with_the_server(database: str) -> None:
    token = new_token(TokenKind.READ)
    with closing(open_store(database)) as store:
        store.add_token(Token(hash_token(token), TokenKind.READ, None))
    bearer = {"Authorization": f"Bearer {token}"}
    with serving("--database", database, "--no-collector", "--host", "0.0.0.0") as (server, url):
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}api/v1/stream", timeout=ANSWERED_S).status_code == 401
        with following(url, headers=bearer) as stream:
            with closing(open_store(database)) as store:
                store.remove_token(hash_token(token))
            assert stream.rest() == []
            assert server.poll() is None
        with closing(open_store(database)) as store:
            store.add_token(Token(hash_token(token), TokenKind.READ, None))
        with following(url, headers=bearer) as stream:
            server.terminate()
            assert stream.rest() == []
        assert server.wait(ANSWERED_S) == 0
