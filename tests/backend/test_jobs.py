"""What the server does without being asked."""

import logging
from collections.abc import Callable
from contextlib import closing
from threading import Event

import pytest

from backend.errors import StoreError
from backend.jobs import JOBS
from backend.jobs.runner import Job, Runner
from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.time_limit import check_time, current_limit
from backend.store.contract.values import Session, Token
from tests.backend.process import serving
from tests.backend.serving import Clock, Server

PATIENCE_S = 120.0


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


def job(work: Callable[[Store, int], None], *, every_s: float = 60, within_s: float = 60) -> Job:
    """Return a job that does this."""
    return Job(name="work", every_s=every_s, within_s=within_s, work=work)


def told(server: Server) -> dict[str, object]:
    """Return what the status tells of the one job."""
    [found] = server.get("/api/v1/status")["jobs"]
    return dict(found)


def test_one_of_two_servers_does_a_job_at_its_interval(store: Store, database: str, clock: Clock) -> None:
    done: list[int] = []
    work = job(lambda _, now_ns: done.append(now_ns))
    with closing(open_store(database)) as other_store:
        one, other = Runner(store, [work], now_ns=clock), Runner(other_store, [work], now_ns=clock)
        assert [runner.run_if_due(work) for runner in (one, other, one)] == [True, False, False]
        clock.now_ns += 60 * 10**9
        assert [runner.run_if_due(work) for runner in (other, one)] == [True, False]
    assert done == [clock.now_ns - 60 * 10**9, clock.now_ns]


def test_a_job_is_begun_at_once_and_again_and_stops_with_the_server(store: Store) -> None:
    often = Event()
    times: list[int] = []

    def work(_: Store, now_ns: int) -> None:
        times.append(now_ns)
        if len(times) == 3:
            often.set()

    with Runner(store, [job(work, every_s=0.01)]).running():
        assert often.wait(PATIENCE_S)
    assert [one.held_until_ns for one in store.jobs()] == [None]


def test_the_status_tells_how_a_job_went(server: Server) -> None:
    assert server.get("/api/v1/status")["jobs"] == []

    def work(_: Store, __: int) -> None:
        assert told(server)["running"]
        server.clock.now_ns += 250_000_000

    assert Runner(server.store, [job(work)], now_ns=server.clock).run_if_due(job(work))
    assert told(server) == {
        "name": "work",
        "last": "2027-01-15T08:01:00.250000000Z",
        "took_s": 0.25,
        "running": False,
        "failed": False,
        "detail": "",
    }


def failing(error: Exception) -> Callable[[Store, int], None]:
    """Return work that fails so."""

    def work(_: Store, __: int) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (StoreError("database: disk is full"), "database: disk is full"),
        (ValueError("secret"), "the server failed; its log says more"),
    ],
)
def test_a_job_that_fails_is_told_and_tried_again(
    server: Server, caplog: pytest.LogCaptureFixture, error: Exception, detail: str
) -> None:
    runner = Runner(server.store, [], now_ns=server.clock)
    with caplog.at_level(logging.WARNING):
        assert runner.run_if_due(job(failing(error)))
    assert (told(server)["failed"], told(server)["detail"]) == (True, detail)
    assert "job work failed" in caplog.text

    server.clock.now_ns += 60 * 10**9
    assert runner.run_if_due(job(lambda *_: None))
    assert (told(server)["failed"], told(server)["detail"]) == (False, "")


def test_a_run_is_bounded(server: Server) -> None:
    def work(_: Store, __: int) -> None:
        limit = current_limit()
        assert limit is not None
        while True:
            check_time()

    assert Runner(server.store, [], now_ns=server.clock).run_if_due(job(work, within_s=0.01))
    assert (told(server)["failed"], told(server)["detail"]) == (True, "it was not done within 0.01 s")


def test_a_run_is_told_to_end_when_the_server_stops(server: Server) -> None:
    begun = Event()

    def work(_: Store, __: int) -> None:
        begun.set()
        while True:
            check_time()

    with Runner(server.store, [job(work, within_s=PATIENCE_S)], now_ns=server.clock).running():
        assert begun.wait(PATIENCE_S)
    assert told(server)["detail"] == "the server was stopped meanwhile"


def test_a_server_that_died_at_a_job_is_told(server: Server) -> None:
    class Killed(BaseException):
        """Ends the run as a kill would: nothing is noted any more."""

    def work(_: Store, __: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        Runner(server.store, [], now_ns=server.clock).run_if_due(job(work))
    assert (told(server)["running"], told(server)["failed"]) == (True, False)
    server.clock.now_ns += 60 * 10**9
    assert (told(server)["running"], told(server)["failed"]) == (False, True)


def test_ended_sessions_are_forgotten_by_a_server_by_itself(store: Store, database: str) -> None:
    token = Token("a" * 64, "read", None)
    store.add_token(token)
    store.add_session(Session("ended", token.sha256, ends_ns=10))
    store.add_session(Session("open", token.sha256, ends_ns=2**62))
    with serving("--database", database, "--no-collector"):
        deadline = Event()
        for _ in range(int(PATIENCE_S / 0.1)):
            if [one.ended_ns for one in store.jobs()] not in ([], [None]):
                break
            deadline.wait(0.1)
    assert [one.name for one in store.jobs()] == [one.name for one in JOBS]
    assert [one.error for one in store.jobs()] == [""]
    assert store.session_token("ended", 0) is None
    assert store.session_token("open", 0) == token
