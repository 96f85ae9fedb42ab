# SPDX-License-Identifier: Apache-2.0
"""Runs jobs, each at its interval and in a thread of its own, on one of the servers that share a database.

Whoever begins a job takes its lock in the database: a row that says until when. Each run is bounded, and the
lock ends with that bound, so that another server takes over from one that died or hangs. Whoever lost the
lock writes no more. Times are of the one clock that all these servers share.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from threading import Event, Lock, Thread

from backend.errors import BackendError, StoreError, TooLongError
from backend.log_lines import RareLines
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.contract.time_limit import TimeLimit, limited
from faultmodel.units import NS_PER_S

_logger = logging.getLogger(__name__)
_lines = RareLines(_logger)
_STOP_S = 5.0
"""A run that is under way has this long to end, after it is asked to."""
_AGAIN_S = 60.0
"""After a run that failed, or that another server may be at: so it is looked again, or sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work to be done over and over.

    ``work`` gets the store, and the claim by which the job was taken; ``began_ns`` is the time. It hands the
    claim to each method of the store that writes, so that nothing is written once the job was taken over.
    What it reads ends after ``within_s`` by itself; between parts that write, it calls
    ``time_limit.check_time``. Whatever is left then is left for the next run.
    """

    name: str
    every_s: float
    within_s: float
    work: Callable[[Store, JobClaim], None]


class Outcome(Enum):
    """What became of an attempt to run a job."""

    DONE = auto()
    FAILED = auto()
    NOT_DUE = auto()
    """A server has it, or had it less than its interval ago."""


class Runner:
    """Runs jobs for as long as ``running`` lasts. ``now_ns`` is the clock: UTC, ns since the epoch."""

    def __init__(
        self, store: Store, jobs: Sequence[Job], *, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._now_ns = now_ns
        self._holder = secrets.token_hex(8)
        self._stopping = Event()
        self._lock = Lock()
        self._limits: set[TimeLimit] = set()
        self._traced: set[tuple[str, type[Exception]]] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run every job at once and then at its interval, until the end of the block."""
        # Daemons: a run that does not end does not keep the server from ending.
        threads = [
            Thread(target=self._repeat, args=(job,), name=f"job {job.name}", daemon=True)
            for job in self._jobs
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop()
            for thread in threads:
                thread.join(_STOP_S)

    def run_if_due(self, job: Job) -> Outcome:
        """Run a job, unless a server has it or had it less than its interval ago.

        :raises StoreError: the database cannot be used
        """
        claim = JobClaim(
            name=job.name,
            holder=self._holder,
            began_ns=self._shared_ns(),
            within_ns=int(job.within_s * NS_PER_S),
            every_ns=int(job.every_s * NS_PER_S),
        )
        if not self._store.claim_job(claim):
            return Outcome.NOT_DUE
        error = self._run(job, claim)
        if error:
            _lines.warn(f"job {job.name} failed", f"error={error!r}")
        self._store.finish_job(claim, self._shared_ns(), error)
        return Outcome.FAILED if error else Outcome.DONE

    def _shared_ns(self) -> int:
        return self._store.shared_now_ns(self._now_ns())

    def _run(self, job: Job, claim: JobClaim) -> str:
        """Do a job's work and return why it failed, empty where it did not."""
        with self._limit(job.within_s) as limit:
            try:
                # Work that goes by a wrong clock may remove what is not over.
                if problem := self._store.clock_problem(claim.began_ns):
                    return problem
                with limited(limit):
                    job.work(self._store, claim)
            except TooLongError:
                return self._not_done(job)
            except BackendError as exc:
                return str(exc)
            except Exception as exc:  # noqa: BLE001  # One job's fault ends neither its thread nor the server.
                self._trace(job, exc)
                return "the server failed; its log says more"
            return self._not_done(job) if limit.is_over else ""

    def _not_done(self, job: Job) -> str:
        if self._stopping.is_set():
            return "the server was stopped meanwhile"
        return f"it was not done within {job.within_s:g} s"

    def _repeat(self, job: Job) -> None:
        while not self._stopping.is_set():
            outcome = Outcome.FAILED
            try:
                outcome = self.run_if_due(job)
            except StoreError as exc:
                _lines.warn(f"job {job.name}: the database cannot be used", f"error={str(exc)!r}")
            except Exception as exc:  # noqa: BLE001  # The job's thread goes on: nobody would begin another.
                self._trace(job, exc)
            is_done = outcome is Outcome.DONE
            self._stopping.wait(job.every_s if is_done else min(job.every_s, _AGAIN_S))

    def _trace(self, job: Job, exc: Exception) -> None:
        """Log where a fault of the server's came from: of each kind once, as it may come with every run."""
        kind = (job.name, type(exc))
        with self._lock:
            if kind in self._traced:
                return
            self._traced.add(kind)
        _logger.error("job %s failed", job.name, exc_info=exc)

    @contextmanager
    def _limit(self, seconds: float) -> Iterator[TimeLimit]:
        limit = TimeLimit(seconds)
        with self._lock:
            self._limits.add(limit)
        if self._stopping.is_set():
            limit.give_up()
        try:
            yield limit
        finally:
            with self._lock:
                self._limits.discard(limit)

    def _stop(self) -> None:
        self._stopping.set()
        with self._lock:
            limits = list(self._limits)
        for limit in limits:
            limit.give_up()
