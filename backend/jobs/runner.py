"""Runs jobs, each at its interval and in a thread of its own, on one of the servers that share a database.

Whoever begins a job takes its lock in the database: a row that says until when. Each run is bounded, and the
lock ends with that bound, so that another server takes over from one that died. Servers compare their own
clocks there; for a moment two may run a job, which must do no harm done twice.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock, Thread

from backend.errors import BackendError, StoreError, TooLongError
from backend.log_lines import RareLines
from backend.store.contract.store import Store
from backend.store.contract.time_limit import TimeLimit, limited
from backend.store.contract.values import JobClaim
from faultmodel.units import NS_PER_S

_logger = logging.getLogger(__name__)
_lines = RareLines(_logger)
_STOP_S = 5.0
"""A run that is under way has this long to end, which it is told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work to be done over and over.

    ``work`` gets the store and the time, UTC ns. What it reads ends after ``within_s`` by itself; between
    parts that write, it calls ``time_limit.check_time``. Whatever is left then is left for the next run.
    """

    name: str
    every_s: float
    within_s: float
    work: Callable[[Store, int], None]


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

    def run_if_due(self, job: Job) -> bool:
        """Run a job, unless a server has it or had it less than its interval ago. Return whether it was run.

        :raises StoreError: the database cannot be used
        """
        began_ns = self._now_ns()
        claim = JobClaim(
            name=job.name,
            holder=self._holder,
            began_ns=began_ns,
            within_ns=int(job.within_s * NS_PER_S),
            every_ns=int(job.every_s * NS_PER_S),
        )
        if not self._store.claim_job(claim):
            return False
        error = self._run(job, began_ns)
        if error:
            _lines.warn(f"job {job.name} failed", f"error={error!r}")
        self._store.finish_job(claim, self._now_ns(), error)
        return True

    def _run(self, job: Job, now_ns: int) -> str:
        """Do a job's work and return why it failed, empty where it did not."""
        with self._limit(job.within_s) as limit:
            try:
                with limited(limit):
                    job.work(self._store, now_ns)
            except TooLongError:
                return self._not_done(job)
            except BackendError as exc:
                return str(exc)
            except Exception:
                # One job's fault ends neither its thread nor the server.
                _logger.exception("job %s failed", job.name)
                return "the server failed; its log says more"
            return self._not_done(job) if limit.is_over else ""

    def _not_done(self, job: Job) -> str:
        if self._stopping.is_set():
            return "the server was stopped meanwhile"
        return f"it was not done within {job.within_s:g} s"

    def _repeat(self, job: Job) -> None:
        while not self._stopping.is_set():
            try:
                self.run_if_due(job)
            except StoreError as exc:
                _lines.warn(f"job {job.name}: the database cannot be used", f"error={str(exc)!r}")
            self._stopping.wait(job.every_s)

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
