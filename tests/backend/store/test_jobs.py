# SPDX-License-Identifier: Apache-2.0
"""Of several servers on one database, one does a job."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.errors import LostJobError
from backend.jobs.runner import Job, Outcome, Runner
from backend.store.contract.access import Session, Token
from backend.store.contract.jobs import JobClaim, JobState
from backend.store.contract.store import Store

EVERY_NS = 1000
WITHIN_NS = 100


def claim(holder: str, began_ns: int, name: str = "job") -> JobClaim:
    """Return a claim of a server that would begin at this time."""
    return JobClaim(name=name, holder=holder, began_ns=began_ns, within_ns=WITHIN_NS, every_ns=EVERY_NS)


def test_a_job_that_another_server_has_is_not_taken(store: Store) -> None:
    assert store.claim_job(claim("one", 5000))
    assert not store.claim_job(claim("two", 5000 + WITHIN_NS - 1))
    assert store.claim_job(claim("two", 5000, name="other"))


def test_a_job_is_begun_once_in_an_interval(store: Store) -> None:
    first = claim("one", 5000)
    assert store.claim_job(first)
    store.finish_job(first, 5010, "")

    assert not store.claim_job(claim("one", 5000 + EVERY_NS // 2))
    assert not store.claim_job(claim("two", 5000 + EVERY_NS // 2))
    assert store.claim_job(claim("two", 5000 + EVERY_NS))


def test_a_job_of_a_server_that_died_is_taken_over_once_it_had_its_time(store: Store) -> None:
    lost, taken = claim("one", 5000), claim("two", 5000 + WITHIN_NS)
    assert store.claim_job(lost)
    assert store.claim_job(taken)

    # Should the first one be alive after all, it has no say any more.
    store.finish_job(lost, 5000 + WITHIN_NS + 1, "too late")
    assert not store.claim_job(claim("three", 5000 + WITHIN_NS + 2))
    store.finish_job(taken, 5000 + WITHIN_NS + 3, "")
    assert [(job.ended_ns, job.took_ns, job.error) for job in store.jobs()] == [(5000 + WITHIN_NS + 3, 3, "")]


def test_a_run_that_failed_is_none(store: Store) -> None:
    store.claim_job(first := claim("one", 5000))
    store.finish_job(first, 5010, "the disk is full")
    again = claim("two", 5020)
    assert store.claim_job(again)
    store.finish_job(again, 5030, "")
    assert not store.claim_job(claim("one", 5040))


def test_a_server_writes_nothing_for_a_job_that_it_lost(store: Store) -> None:
    store.add_token(token := Token("a" * 64, "read", None))
    store.add_session(Session("ended", token.sha256, ends_ns=10))
    store.claim_job(lost := claim("one", 5000))
    store.claim_job(taken := claim("two", 5000 + WITHIN_NS))

    with pytest.raises(LostJobError):
        store.remove_sessions_outside(5000, 2**62, lost)
    assert store.session_tokens(["ended"], 0, 2**62).get("ended") == token
    assert store.remove_sessions_outside(5000, 2**62, taken) == 1


def test_a_run_that_the_same_server_lost_writes_nothing(store: Store) -> None:
    store.claim_job(lost := claim("one", 5000))
    store.claim_job(claim("one", 5000 + WITHIN_NS))
    with pytest.raises(LostJobError):
        store.remove_sessions_outside(5000, 2**62, lost)


@pytest.mark.parametrize("database", ["postgresql"])
def test_servers_whose_clocks_differ_go_by_that_of_the_database(store: Store) -> None:
    times: list[int] = []
    job = Job(name="job", every_s=600, within_s=60, work=lambda _, claim: times.append(claim.began_ns))
    own_ns = time.time_ns()
    ahead, right, behind = (
        Runner(store, [job], now_ns=lambda by_s=by_s: own_ns + by_s * 10**9)  # type: ignore[misc]
        for by_s in (13 * 3600, 0, -3600)
    )
    outcomes = [runner.run_if_due(job) for runner in (ahead, right, behind, ahead)]
    assert outcomes == [Outcome.DONE, Outcome.NOT_DUE, Outcome.NOT_DUE, Outcome.NOT_DUE]
    assert all(abs(began_ns - own_ns) < 3600 * 10**9 for began_ns in times)


def test_a_server_whose_clock_was_ahead_holds_nobody_up(store: Store) -> None:
    assert store.claim_job(claim("ahead", 10**18))
    assert store.claim_job(claim("one", 5000))


def test_it_is_known_how_the_last_run_went(store: Store) -> None:
    assert store.jobs() == []
    store.claim_job(first := claim("one", 5000))
    assert store.jobs() == [
        JobState(name="job", held_until_ns=5000 + WITHIN_NS, ended_ns=None, took_ns=None, error="")
    ]
    store.finish_job(first, 5020, "the disk is full\0")
    assert store.jobs() == [
        JobState(name="job", held_until_ns=None, ended_ns=5020, took_ns=20, error="the disk is full")
    ]


def test_of_many_that_ask_at_once_one_gets_it(store: Store) -> None:
    claims = [claim(f"server {number}", 5000) for number in range(8)]
    with ThreadPoolExecutor(len(claims)) as pool:
        assert sum(pool.map(store.claim_job, claims)) == 1
