# SPDX-License-Identifier: Apache-2.0
"""What the server does without being asked."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from threading import Event

import pytest

from backend.auth import SESSION_NS, has_session, hash_token, open_session, tokens_of_sessions
from backend.errors import StoreError
from backend.jobs import jobs
from backend.jobs import runner as runner_module
from backend.jobs.runner import Job, Outcome, Runner
from backend.store import open_store
from backend.store.contract.access import Session, Token
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.contract.time_limit import check_time, current_limit
from tests.backend.process import serving
from tests.backend.serving import Clock, Server

JOBS = jobs(give_way=lambda: None)
PATIENCE_S = 120.0


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


def job(work: Callable[[Store, JobClaim], None], *, every_s: float = 60, within_s: float = 60) -> Job:
    """Return a job that does this."""
    return Job(name="work", every_s=every_s, within_s=within_s, work=work)


def shown(server: Server) -> dict[str, object]:
    """Return what the status shows of the one job."""
    [found] = server.get("/api/v1/status")["jobs"]
    return dict(found)


def test_one_of_two_servers_does_a_job_at_its_interval(store: Store, database: str, clock: Clock) -> None:
    done: list[int] = []
    work = job(lambda _, claim: done.append(claim.began_ns))
    with closing(open_store(database)) as other_store:
        one, other = Runner(store, [work], now_ns=clock), Runner(other_store, [work], now_ns=clock)
        assert [runner.run_if_due(work) for runner in (one, other, one)] == [
            Outcome.DONE,
            Outcome.NOT_DUE,
            Outcome.NOT_DUE,
        ]
        clock.now_ns += 60 * 10**9
        assert [runner.run_if_due(work) for runner in (other, one)] == [Outcome.DONE, Outcome.NOT_DUE]
    assert done == [clock.now_ns - 60 * 10**9, clock.now_ns]


def test_a_job_is_begun_at_once_and_again_and_stops_with_the_server(store: Store) -> None:
    often = Event()
    times: list[int] = []

    def work(_: Store, claim: JobClaim) -> None:
        times.append(claim.began_ns)
        if len(times) == 3:
            often.set()

    with Runner(store, [job(work, every_s=0.01)]).running():
        assert often.wait(PATIENCE_S)
    assert [one.held_until_ns for one in store.jobs()] == [None]


def test_the_status_tells_how_a_job_went(server: Server) -> None:
    assert server.get("/api/v1/status")["jobs"] == []

    def work(_: Store, __: JobClaim) -> None:
        assert shown(server)["running"]
        server.clock.now_ns += 250_000_000

    runner = Runner(server.store, [job(work)], now_ns=server.clock)
    assert runner.run_if_due(job(work)) is Outcome.DONE
    assert shown(server) == {
        "name": "work",
        "last": "2027-01-15T08:01:00.250000000Z",
        "took_s": 0.25,
        "running": False,
        "failed": False,
        "detail": "",
    }


def failing(error: Exception) -> Callable[[Store, JobClaim], None]:
    """Return work that fails so."""

    def work(_: Store, __: JobClaim) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (StoreError("database: disk is full"), "database: disk is full"),
        (ValueError("secret"), "the server failed; its log says more"),
    ],
)
def test_a_job_that_fails_is_shown_and_tried_again(
    server: Server, caplog: pytest.LogCaptureFixture, error: Exception, detail: str
) -> None:
    runner = Runner(server.store, [], now_ns=server.clock)
    with caplog.at_level(logging.WARNING):
        assert runner.run_if_due(job(failing(error))) is Outcome.FAILED
    assert (shown(server)["failed"], shown(server)["detail"]) == (True, detail)
    assert "job work failed" in caplog.text

    server.clock.now_ns += 10**9
    assert runner.run_if_due(job(lambda *_: None)) is Outcome.DONE
    assert (shown(server)["failed"], shown(server)["detail"]) == (False, "")


def test_a_run_is_bounded(server: Server) -> None:
    def work(_: Store, __: JobClaim) -> None:
        limit = current_limit()
        assert limit is not None
        while True:
            check_time()

    runner = Runner(server.store, [], now_ns=server.clock)
    assert runner.run_if_due(job(work, within_s=0.01)) is Outcome.FAILED
    assert (shown(server)["failed"], shown(server)["detail"]) == (True, "it was not done within 0.01 s")


def test_a_run_is_asked_to_end_when_the_server_stops(server: Server) -> None:
    begun = Event()

    def work(_: Store, __: JobClaim) -> None:
        begun.set()
        while True:
            check_time()

    with Runner(server.store, [job(work, within_s=PATIENCE_S)], now_ns=server.clock).running():
        assert begun.wait(PATIENCE_S)
    assert shown(server)["detail"] == "the server was stopped meanwhile"


def test_a_server_that_died_at_a_job_is_shown(server: Server) -> None:
    class Killed(BaseException):
        """Ends the run as a kill would: nothing is noted any more."""

    def work(_: Store, __: JobClaim) -> None:
        raise Killed

    with pytest.raises(Killed):
        Runner(server.store, [], now_ns=server.clock).run_if_due(job(work))
    assert (shown(server)["running"], shown(server)["failed"]) == (True, False)
    server.clock.now_ns += 60 * 10**9
    assert (shown(server)["running"], shown(server)["failed"]) == (False, True)


def test_nothing_is_done_by_a_clock_that_cannot_be_right(server: Server) -> None:
    done: list[JobClaim] = []
    work = job(lambda _, claim: done.append(claim))
    runner = Runner(server.store, [work], now_ns=server.clock)
    server.clock.now_ns, right_ns = 0, server.clock.now_ns
    assert runner.run_if_due(work) is Outcome.FAILED
    assert (done, shown(server)["failed"]) == ([], True)
    assert "the server's clock says 1970-01-01T00:00:00Z" in str(shown(server)["detail"])

    server.clock.now_ns = right_ns
    assert runner.run_if_due(work) is Outcome.DONE
    assert len(done) == 1


def test_a_job_goes_on_after_whatever_was_wrong(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Also where it is claimed, which is not the job's own work."""
    often, done = Event(), Event()
    wrong: list[int] = []

    def clock() -> int:
        if len(wrong) < 3:
            wrong.append(1)
            raise OSError("no clock")
        often.set()
        return time.time_ns()

    runner = Runner(store, [job(lambda *_: done.set(), every_s=0.01)], now_ns=clock)
    with caplog.at_level(logging.ERROR), runner.running():
        assert often.wait(PATIENCE_S)
        assert done.wait(PATIENCE_S)
    assert [record.getMessage() for record in caplog.records] == ["job work failed"]
    assert "no clock" in caplog.text


def test_a_run_that_failed_is_tried_again_long_before_its_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_AGAIN_S", 0.01)
    runs: list[JobClaim] = []
    done = Event()

    def work(_: Store, claim: JobClaim) -> None:
        runs.append(claim)
        if len(runs) < 3:
            raise StoreError("the disk is full")
        done.set()

    with Runner(store, [job(work, every_s=86_400)]).running():
        assert done.wait(PATIENCE_S)
    assert len(runs) == 3


@pytest.fixture
def sessions_token(store: Store) -> Token:
    """Return a token that is stored."""
    token = Token("a" * 64, "read", None)
    store.add_token(token)
    return token


def _token_of(store: Store, name: str, now_ns: int) -> Token | None:
    return tokens_of_sessions(store, [hash_token(name)], now_ns).get(hash_token(name))


def test_a_clock_that_is_ahead_ends_no_sessions(store: Store, clock: Clock, sessions_token: Token) -> None:
    name = open_session(store, sessions_token.sha256, clock.now_ns)
    ahead = Runner(store, JOBS, now_ns=lambda: clock.now_ns + 13 * 3600 * 10**9)
    assert ahead.run_if_due(JOBS[0]) is Outcome.DONE
    assert _token_of(store, name, clock.now_ns) == sessions_token


def test_a_session_that_a_clock_ahead_opened_is_none_and_is_forgotten(
    store: Store, clock: Clock, sessions_token: Token
) -> None:
    ahead = open_session(store, sessions_token.sha256, clock.now_ns + 365 * 86400 * 10**9)
    near = open_session(store, sessions_token.sha256, clock.now_ns + 10**9)
    assert _token_of(store, ahead, clock.now_ns) is None
    assert _token_of(store, near, clock.now_ns) == sessions_token

    assert Runner(store, JOBS, now_ns=clock).run_if_due(JOBS[0]) is Outcome.DONE
    assert (has_session(store, ahead), has_session(store, near)) == (False, True)


def test_ended_sessions_are_forgotten_by_a_server_by_itself(store: Store, database: str) -> None:
    token = Token("a" * 64, "read", None)
    store.add_token(token)
    store.add_session(Session("ended", token.sha256, ends_ns=10))
    store.add_session(Session("open", token.sha256, ends_ns=time.time_ns() + SESSION_NS))
    with serving("--database", database, "--no-collector"):
        deadline = Event()
        for _ in range(int(PATIENCE_S / 0.1)):
            if len([one for one in store.jobs() if one.ended_ns is not None]) == len(JOBS):
                break
            deadline.wait(0.1)
    assert [one.name for one in store.jobs()] == sorted(one.name for one in JOBS)
    assert {one.error for one in store.jobs()} == {""}
    assert store.session_tokens(["ended"], 0, 2**62).get("ended") is None
    assert store.session_tokens(["open"], 0, 2**62).get("open") == token
