# SPDX-License-Identifier: Apache-2.0
"""Several servers on one database act as one, also where they are killed."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from backend.auth import TokenKind, hash_token, new_token
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.sql.migrate import migrate
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.queue import Spool
from faultmodel import wire
from faultmodel.record import Collector
from tests.batches import VM_ID, fault_count, make_batch, make_host, make_vm
from tests.fleet import Fleet
from tests.pipeline.nginx import free_port, nginx
from tests.pipeline.servers import (
    ANSWERED_S,
    NO_TLS,
    Relay,
    ask,
    hand_in,
    new_ingest_token,
    several_servers,
    watching,
)
from tests.product import wait_for

FLEET = Fleet(vms=8, hosts=4)
KILLS = 4
SECONDS_OF_KILL = 25
DELIVERED_S = 600.0


@pytest.fixture
def url(postgresql_url: str) -> str:
    """Return the URL of a migrated database."""
    migrate(postgresql_url)
    return postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a migrated database of each kind."""
    if request.param == "postgresql":
        migrated: str = request.getfixturevalue("url")
        return migrated
    file = f"sqlite:///{tmp_path / 'kvmfaults.db'}"
    migrate(file)
    return file


def stored(url: str) -> dict[str, int]:
    """Return how many batches of each host are stored."""
    with closing(open_store(url)) as store:
        return {account.host: account.stored for account in store.batch_accounts(None)}


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[dict[str, Spool]]:
    """Yield a spool for each host of the fleet."""
    with ExitStack() as opened:
        yield {name: opened.enter_context(Spool(tmp_path / name)) for name in FLEET.host_names}


def test_collectors_that_change_servers_while_these_are_killed_deliver_everything_once(
    url: str, tmp_path: Path, spools: dict[str, Spool]
) -> None:
    start_s = int(time.time()) - KILLS * SECONDS_OF_KILL - 60
    port = free_port()
    with several_servers(url, 3) as servers, nginx(tmp_path / "nginx", port, servers.ports):
        shippers = []
        for name, spool in spools.items():
            token = tmp_path / f"{name}.token"
            token.write_text(new_ingest_token(url, name))
            shippers.append(Shipper(spool, Uplink(f"http://127.0.0.1:{port}", token_file=token)))
            shippers[-1].start()
        seconds = iter(range(KILLS * SECONDS_OF_KILL))
        for kill in range(KILLS):
            for _ in range(SECONDS_OF_KILL):
                second = next(seconds)
                at_s = start_s + second
                for batch in FLEET.batches(range(at_s, at_s + 1), second, start_s=start_s):
                    assert spools[batch.host.name].put(wire.encode(batch))
            under_way = FLEET.hosts * SECONDS_OF_KILL // 2
            wait_for(
                lambda: sum(spool.backlog_batches for spool in spools.values()) <= under_way or None,  # noqa: B023
                DELIVERED_S,
                "half of the batches are taken",
            )
            servers.kill(kill % 3)
            servers.start(kill % 3)
        wait_for(
            lambda: all(spool.backlog_batches == 0 for spool in spools.values()) or None,
            DELIVERED_S,
            "all batches are taken",
        )
        assert [(spool.aside, spool.dropped_batches) for spool in spools.values()] == [({}, 0)] * FLEET.hosts
        for shipper in shippers:
            shipper.flush(0)
        sent = {
            f"vm-{number:04}": sum(FLEET.faults(number, start_s + s) for s in range(KILLS * SECONDS_OF_KILL))
            for number in range(FLEET.vms)
        }
        for number in range(3):
            items = ask(servers.url(number), "vms", from_=0, limit=100)["items"]
            assert {vm["name"]: vm["faults"] for vm in items} == sent
    assert stored(url) == dict.fromkeys(FLEET.host_names, KILLS * SECONDS_OF_KILL)


def test_a_batch_that_is_sent_to_two_servers_at_once_counts_once(url: str) -> None:
    token = new_ingest_token(url, "host-1")
    rounds = 30
    barrier = Barrier(2)

    def send(server: str, sequence: int) -> bool:
        batch = make_batch(sequence, fault_counts=[fault_count(second=sequence, faults=3)])
        barrier.wait()
        return hand_in(server, token, batch)

    with several_servers(url, 2) as servers, ThreadPoolExecutor(2) as threads:
        for sequence in range(rounds):
            taken = threads.map(send, [servers.url(0), servers.url(1)], [sequence, sequence])
            assert Counter(taken) == Counter([True, False])
        assert [ask(servers.url(n), f"vms/{VM_ID}", from_=0)["faults"] for n in range(2)] == [3 * rounds] * 2
    assert stored(url) == {"host-1": rounds}


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not_committed"])
def test_a_server_that_is_killed_while_it_commits_a_batch_leaves_it_whole_or_not_there(
    url: str, is_committed: bool
) -> None:
    token = new_ingest_token(url, "host-1")
    batch = make_batch(fault_counts=[fault_count(faults=5)])
    port = urlsplit(url).port or 0
    with (
        closing(Relay(port, is_committed=is_committed)) as relay,
        several_servers(url, 1) as others,
        several_servers(url.replace(f":{port}/", f":{relay.port}/"), 1) as killed,
        ThreadPoolExecutor(1) as threads,
    ):
        sent = threads.submit(hand_in, killed.url(0), token, batch)
        wait_for(lambda: relay.holds.is_set() or None, DELIVERED_S, "the server commits")
        if is_committed:
            wait_for(lambda: stored(url) or None, DELIVERED_S, "the batch is committed")
        killed.kill(0)
        with pytest.raises(httpx.HTTPError):
            sent.result(DELIVERED_S)
        # The collector never got an answer, and sends it again.
        assert hand_in(others.url(0), token, batch) is not is_committed
        assert hand_in(others.url(0), token, batch) is False
        assert ask(others.url(0), f"vms/{VM_ID}", from_=0)["faults"] == 5
    assert stored(url) == {"host-1": 1}


def test_a_page_hears_of_batches_that_another_server_took_and_is_then_shown_them(any_url: str) -> None:
    token = new_ingest_token(any_url, "host-1")
    with several_servers(any_url, 2) as servers, watching(servers.url(1)) as next_hosts:
        for sequence in range(10):
            batch = make_batch(sequence, fault_counts=[fault_count(second=sequence, faults=2)])
            assert hand_in(servers.url(0), token, batch)
            assert next_hosts() == ["host-1"]
            shown = ask(servers.url(1), "vms", from_=0)["items"]
            assert [vm["faults"] for vm in shown] == [2 * (sequence + 1)]


def test_what_is_stored_while_a_server_cannot_listen_is_heard_of_all_the_same(url: str) -> None:
    token = new_ingest_token(url, "host-1")
    with (
        several_servers(url, 2) as servers,
        watching(servers.url(1)) as next_hosts,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        assert hand_in(servers.url(0), token, make_batch(0))
        assert next_hosts() == ["host-1"]
        listen = "pg_stat_activity WHERE application_name = 'kvmfaults listens'"
        listen += " AND datname = current_database()"
        count = f"SELECT count(*) FROM {listen}"
        wait_for(lambda: connection.execute(count).fetchone() == (2,) or None, DELIVERED_S, "both listen")
        cut = f"SELECT pg_terminate_backend(pid) FROM {listen}"
        assert connection.execute(cut).fetchall() == [(True,), (True,)]
        assert hand_in(servers.url(0), token, make_batch(1))
        assert next_hosts() == ["host-1"]
        # Nobody announces this, nor what a command removes.
        connection.execute("UPDATE hosts SET applied = applied + 1")
        assert next_hosts() == ["host-1"]


def test_what_one_server_refused_is_shown_by_all(url: str) -> None:
    token = new_ingest_token(url, "host-1")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}
    of_another = wire.encode(make_batch(host=make_host("host-2")))
    with several_servers(url, 2) as servers:
        for _ in range(3):
            answer = httpx.post(
                f"{servers.url(0)}api/v1/ingest",
                content=of_another,
                headers=headers,
                timeout=ANSWERED_S,
                verify=NO_TLS,
            )
            assert answer.json()["code"] == "wrong_host"

        def are_shown() -> bool | None:
            findings = ask(servers.url(1), "status")["findings"]
            return [item["times"] for item in findings if item["code"] == "refused"] == [3] or None

        wait_for(are_shown, DELIVERED_S, "all three are shown")


def test_a_session_of_one_server_is_one_of_all(url: str) -> None:
    right = new_token(TokenKind.READ)
    with closing(open_store(url)) as store:
        store.add_token(Token(hash_token(right), TokenKind.READ, None))
    with several_servers(url, 2, "--host", "0.0.0.0") as servers, httpx.Client(timeout=ANSWERED_S) as client:
        assert client.get(f"{servers.url(1)}api/v1/vms").status_code == 401
        assert client.post(f"{servers.url(0)}api/v1/session", json={"token": right}).status_code == 200
        assert client.get(f"{servers.url(1)}api/v1/vms").status_code == 200
        assert client.delete(f"{servers.url(1)}api/v1/session").status_code == 204
        assert client.get(f"{servers.url(0)}api/v1/vms").status_code == 401


def test_another_server_takes_over_the_job_of_one_that_was_killed(url: str) -> None:
    def job() -> tuple[str, str, int | None]:
        with psycopg.connect(url) as other:
            found = other.execute("SELECT holder, error, ended_ns FROM jobs WHERE name = 'sessions'")
            holder, error, ended_ns = found.fetchone() or ("", "", None)
            return holder, error, ended_ns

    with psycopg.connect(url) as connection:
        # Whoever begins the job waits for this transaction.
        connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        with several_servers(url, 1) as killed:
            holder = wait_for(lambda: job()[0] or None, DELIVERED_S, "the job is begun")
            killed.kill(0)
        connection.rollback()
        assert job() == (holder, "", None)
        # As it is once the time is over for which it had the job.
        connection.execute("UPDATE jobs SET held_until_ns = began_ns + 1 WHERE name = 'sessions'")
        connection.commit()
        with several_servers(url, 1):
            wait_for(lambda: job()[2], DELIVERED_S, "another server has done the job")
    assert job()[:2] == ("", "")


def test_what_one_server_is_asked_to_have_recorded_the_other_asks_the_host_for(url: str) -> None:
    token = new_ingest_token(url, "host-1")
    host = make_host("host-1", collector=Collector(takes_requests=True))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}
    numbers = count()

    def asked_by(server: str) -> dict[str, float]:
        """Hand in a batch, and return for how long the receipt asks for what."""
        body = wire.encode(make_batch(next(numbers), host=host, vms=[make_vm()]))
        answer = httpx.post(
            f"{server}api/v1/ingest", content=body, headers=headers, timeout=ANSWERED_S, verify=NO_TLS
        )
        assert answer.status_code == 200, answer.text
        return {one["id"]: one["seconds"] for one in answer.json().get("record", [])}

    with several_servers(url, 2) as servers:
        one, other = servers.url(0), servers.url(1)
        assert asked_by(one) == asked_by(other) == {}
        path = f"api/v1/vms/{VM_ID}/record"
        made = httpx.post(f"{one}{path}", json={"seconds": 3600}, timeout=ANSWERED_S, verify=NO_TLS)
        assert made.status_code == 202, made.text
        request = made.json()["id"]
        assert 0 < asked_by(one)[request] <= 3600
        wait_for(lambda: asked_by(other).get(request) or None, ANSWERED_S, "the other asks for it, too")
        withdrawn = httpx.delete(f"{other}{path}/{request}", timeout=ANSWERED_S, verify=NO_TLS)
        assert withdrawn.status_code == 200, withdrawn.text
        assert asked_by(other) == {request: 0}
        wait_for(lambda: asked_by(one)[request] == 0 or None, ANSWERED_S, "the first knows that it is over")
        # What is withdrawn stays so where the server is started anew.
        servers.kill(0)
        servers.start(0)
        assert asked_by(one) == {request: 0}
        assert ask(other, f"vms/{VM_ID}/record")["items"][0]["end"] == "withdrawn"
