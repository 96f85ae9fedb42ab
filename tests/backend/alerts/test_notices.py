# SPDX-License-Identifier: Apache-2.0
"""Alertmanager is sent alerts that fire and those that are over, once each as it counts them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from backend.__main__ import main
from backend.errors import SettingError
from backend.jobs.alertmanager import Alertmanager as Receiver
from backend.jobs.notices import NoticesJob
from backend.jobs.runner import Job, Outcome, Runner
from tests.alertmanager import Alertmanager, free_port, running_alertmanager
from tests.backend.alerts.rounds import EVERY_S, Rounds
from tests.backend.alerts.rules import rule_text
from tests.batches import START_NS, VM_ID

NS_PER_S = 10**9
STORM = rule_text(name='"storm"', above='"100/s"', over='"1m"', severity='"critical"')
PENDING = rule_text(name='"later"', above='"100/s"', over='"1m"', for_='"1h"')


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """Return a real one."""
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


@pytest.fixture
def now(rounds: Rounds) -> Rounds:
    """Return a server some minutes ago: Alertmanager goes by its own clock."""
    rounds.silent(int(time.time()) - START_NS // NS_PER_S - 300)
    return rounds


def notify(rounds: Rounds, *urls: str) -> str:
    """Tell what is due, as a server that was just started; return why that failed."""
    job = Job(name="notices", every_s=EVERY_S, within_s=60, work=NoticesJob(urls))
    runner = Runner(rounds.server.store, [], now_ns=rounds.server.clock)
    assert runner.run_if_due(job) is not Outcome.NOT_DUE
    return next(one.error for one in rounds.server.store.jobs() if one.name == "notices")


def notices(rounds: Rounds) -> list[str]:
    """Return what was sent of each alert, the newest first."""
    return [str(alert.notice) for alert in rounds.alerts()]


def dead() -> str:
    """Return an address at which nobody answers."""
    return f"http://127.0.0.1:{free_port()}"


def test_a_real_one_takes_what_fires_and_what_is_over(now: Rounds, alertmanager: Alertmanager) -> None:
    now.rules(STORM, PENDING)
    now.counted(60, faults=60_000)
    now.judge()
    assert notify(now, alertmanager.url) == ""
    (found,) = alertmanager.alerts()
    (storm,) = [alert for alert in now.alerts() if alert.key.rule == "storm"]
    assert found["labels"] == {
        "alertname": "storm",
        "severity": "critical",
        "host": "host-1",
        "vm": VM_ID,
    }
    assert found["annotations"] == {
        "summary": "Something is the matter.",
        "description": f"guest on host-1: guest faults {storm.value:,.0f}/s, above 100/s",
        "vm_name": "guest",
        "runbook": "docs/runbooks/own.md",
    }
    assert found["status"]["state"] == "active"

    # Another server goes on, and it is the same alert.
    now.counted(EVERY_S, faults=60_000)
    now.judge()
    now.counted(60, faults=60_000)
    assert notify(now, alertmanager.url) == ""
    (again,) = alertmanager.alerts()
    assert (again["fingerprint"], again["startsAt"]) == (found["fingerprint"], found["startsAt"])
    assert again["endsAt"] > found["endsAt"]

    resolve(now)
    assert notices(now) == ["firing"]
    assert notify(now, alertmanager.url) == ""
    assert notices(now) == ["resolved"]
    assert alertmanager.alerts() == []


@contextmanager
def answering(status: int, bodies: list[bytes]) -> Iterator[str]:
    """Answer every request so; give the address."""

    class Handler(BaseHTTPRequestHandler):
        """Keeps what is posted."""

        def do_POST(self) -> None:
            """Answer."""
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://user:secret@127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def firing(rounds: Rounds) -> None:
    """Have an alert that fires."""
    rounds.rules(STORM)
    rounds.counted(60, faults=60_000)
    rounds.judge()


def resolve(rounds: Rounds) -> None:
    """Have it resolved."""
    rounds.counted(60)
    rounds.judge()


def test_one_that_fires_is_told_again_each_minute(rounds: Rounds) -> None:
    bodies: list[bytes] = []
    with answering(200, bodies) as url:
        firing(rounds)
        sent = []
        for _ in range(9):
            assert notify(rounds, url) == ""
            sent.append(len(bodies))
            rounds.silent(EVERY_S)
    assert sent == [1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_what_is_not_taken_is_told_later(rounds: Rounds) -> None:
    firing(rounds)
    assert "Connection refused" in notify(rounds, dead())
    bodies: list[bytes] = []
    with answering(500, bodies) as url:
        why = notify(rounds, url)
    assert "it answered 500" in why
    assert "secret" not in why
    assert notices(rounds) == ["none"]
    with answering(200, bodies) as url:
        assert notify(rounds, url) == ""
        assert notices(rounds) == ["firing"]
        resolve(rounds)
        assert "Connection refused" in notify(rounds, dead())
        assert notify(rounds, url) == ""
        assert notices(rounds) == ["resolved"]
        rounds.silent(600)
        assert notify(rounds, url) == ""
    assert len(bodies) == 3


def test_one_of_several_that_takes_it_is_enough(rounds: Rounds) -> None:
    firing(rounds)
    bodies: list[bytes] = []
    with answering(200, bodies) as url:
        assert "Connection refused" in notify(rounds, dead(), url)
    assert (notices(rounds), len(bodies)) == (["firing"], 1)


def test_one_that_is_over_before_anybody_took_it_is_lost_and_counted(rounds: Rounds) -> None:
    firing(rounds)
    resolve(rounds)
    notify(rounds, dead())
    page = rounds.server.get("/api/v1/alerts")
    assert (page["items"][0]["notice"], page["notices_lost"]) == ("lost", 1)


def test_an_end_that_nobody_takes_within_an_hour_is_lost(rounds: Rounds) -> None:
    bodies: list[bytes] = []
    firing(rounds)
    with answering(200, bodies) as url:
        assert notify(rounds, url) == ""
    resolve(rounds)
    notify(rounds, dead())
    assert notices(rounds) == ["firing"]
    rounds.silent(3601)
    notify(rounds, dead())
    assert notices(rounds) == ["lost"]


@pytest.mark.parametrize(
    "url", ["alertmanager:9093", "ftp://host", "http://", "http://host:x", "http://h?a=b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="Alertmanager"):
        Receiver(url)


def test_a_server_does_not_start_with_rules_that_are_wrong(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[[rule]]")
    assert main(("serve", "--database", database, "--port", "0", "--alerts", str(file))) == 2
    assert f"kvmfaults-server alerts check {file} shows all" in capsys.readouterr().err
