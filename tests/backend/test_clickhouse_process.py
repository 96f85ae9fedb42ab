# SPDX-License-Identifier: Apache-2.0
"""A real server process whose series is in a ClickHouse server: it begins, stores, answers, and is copied."""

from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.auth import TokenKind
from backend.store import open_store
from backend.token_file import create_token_file
from collector.ship.answer import Answer, Verdict
from collector.ship.uplink import Uplink
from faultmodel import wire
from tests.backend.process import run, serving
from tests.backend.store.everything import a_batch, stored
from tests.clickhouse import ClickHouse, ClickHouseServer

NOT_REACHED = "ClickHouse at 127.0.0.1:"
FAULTS = 6
"""Of a batch."""


@pytest.fixture
def token(database: str, tmp_path: Path) -> Path:
    """Return the file with host-0's ingest token."""
    path = tmp_path / "host-0.token"
    with closing(open_store(database)) as store:
        create_token_file(store, TokenKind.INGEST, "host-0", path, if_missing=False)
    return path


class Collector:
    """Hands in batches as a collector does."""

    def __init__(self, server: str, token: Path) -> None:
        self._uplink = Uplink(server, token_file=token)

    def send(self, number: int) -> Answer:
        """Send a batch."""
        return self._uplink.send(wire.encode(a_batch(number)), within_s=60)

    def hands_in(self, number: int) -> None:
        """Send a batch, which is taken."""
        answer = self.send(number)
        assert answer.verdict is Verdict.ACCEPTED, answer

    def keeps(self, number: int) -> Answer:
        """Send a batch that is not taken now, and return why."""
        answer = self.send(number)
        assert (answer.verdict, answer.status, answer.code) == (Verdict.LATER, 503, "database"), answer
        return answer


def faults(address: str) -> int:
    """Return the faults of all VMs."""
    vms: Any = httpx.get(f"{address}api/v1/vms", params={"totals": "true"}).raise_for_status().json()
    return int(sum(vm["faults"] for vm in vms["items"]))


def test_a_fleet_is_counted_whatever_becomes_of_clickhouse(
    database: str,
    token: Path,
    clickhouse_http: ClickHouse,
    clickhouse_server: ClickHouseServer,
    tmp_path: Path,
) -> None:
    clickhouse_http.empty()
    clickhouse = clickhouse_server
    settings = {"KVMFAULTS_DATABASE": database, "KVMFAULTS_SERIES": clickhouse.url}
    for _ in range(2):
        done = run("migrate", **settings)
        assert (done.returncode, done.stderr) == (0, "")

    with serving("--no-collector", **settings) as (process, address):
        collector = Collector(address, token)
        collector.hands_in(0)
        assert faults(address) == FAULTS

        clickhouse.end()
        assert NOT_REACHED in collector.keeps(1).detail
        # What was asked before and has not changed is still known.
        assert faults(address) == FAULTS
        answer = httpx.get(f"{address}api/v1/exits")
        assert answer.status_code == 503
        assert NOT_REACHED in answer.json()["detail"]
        clickhouse.begin()
        collector.hands_in(1)
        assert faults(address) == 2 * FAULTS

        clickhouse.have("end", "after", of="insert_deduplication_token", number=3)
        collector.keeps(2)
        clickhouse.wait()
        clickhouse.begin()
        clickhouse.have("reset", "after", of="insert_deduplication_token", times=2)
        assert "Connection reset by peer" in collector.keeps(2).detail
        for number in (2, 2, 1, 0):
            collector.hands_in(number)
        assert faults(address) == 3 * FAULTS
        process.terminate()
        assert process.stdout is not None
        logged = process.stdout.read().splitlines()
        # The server's own lines, once for each that was refused.
        assert [line for line in logged if not line.startswith("WARNING backend.")] == []
        assert len([line for line in logged if "database cannot be used" in line]) == 4

    target = f"sqlite:///{tmp_path / 'copied.db'}"
    done = run("copy", "--from", database, "--from-series", clickhouse.url, "--to", target)
    assert "totals are equal" in done.stdout, done.stderr
    with closing(open_store(database, clickhouse.url)) as source, closing(open_store(target)) as copied:
        assert stored(copied) == stored(source)


def test_a_server_does_not_begin_without_its_series_and_says_why(
    database: str, clickhouse_http: ClickHouse, clickhouse_server: ClickHouseServer
) -> None:
    clickhouse_http.empty()
    with closing(open_store(database, clickhouse_server.url)) as store:
        store.prepare()
    refused = clickhouse_server.url_with(password="wrong")
    done = run("serve", KVMFAULTS_DATABASE=database, KVMFAULTS_SERIES=refused)
    assert done.returncode == 2
    assert "kvmfaults: Authentication failed" in done.stderr
    assert "wrong" not in done.stderr
    clickhouse_server.end()
    done = run("serve", KVMFAULTS_DATABASE=database, KVMFAULTS_SERIES=clickhouse_server.url)
    clickhouse_server.begin()
    assert done.returncode == 2
    assert NOT_REACHED in done.stderr
    assert done.stderr.endswith(": Connection refused\n")
