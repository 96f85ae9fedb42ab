# SPDX-License-Identifier: Apache-2.0
"""Runs several processes that do the same, forked from this one, and ends them with it.

    starting --- all are ready ---> running --- SIGTERM, SIGINT ---> stopping ---> ended
       |                            |    ^
       | one ends                   +----+ one ends: another is started, after a pause that grows
       v                                 | one hangs: it is killed, and so ends
    stopping ---> SettingError

This process does nothing else: it has no threads, no event loop and no connections that a fork would share.
A worker ends by itself once this process is gone, however it went: ``Ties.alive``.

A worker whose event loop goes round says so each second (``Ties.beat``). One that says nothing for
``HUNG_S`` hangs, and one that does not serve within ``START_S``. This process counts that time itself, and of
each of its own waits ``BEAT_S`` at most: while it was stopped, suspended with its machine or had no
processor, workers may not have had one either.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess

from backend.errors import SettingError

BEAT_S = 1.0
"""A worker says so often that its event loop goes round."""
HUNG_S = 30.0
"""Far longer than an event loop waits for a processor on a machine that is much too busy."""
START_S = 120.0
"""A start takes far less, also on a busy machine whose database answers slowly."""
_FIRST_PAUSE_S = 0.1
_MOST_PAUSE_S = 10.0
_LASTED_S = 30.0
"""A worker that lived so long did not fail at its start."""
_STOP_S = 20.0
"""Workers that are asked to end have so long: requests that are under way, and jobs, have a few seconds."""
_PIPE_BYTES = 65_536
"""As many as a pipe holds: what gathered while this process was stopped is read at once."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_logger = logging.getLogger(__name__)
_context = get_context("fork")


@dataclass(frozen=True, slots=True)
class Ties:
    """A worker's number, and descriptors of it: it writes to ``beats``; ``alive`` is at its end once the
    supervisor is gone."""

    number: int
    beats: int
    alive: int

    def beat(self) -> None:
        """Say that the worker serves: once it does, and then every ``BEAT_S``. Never waits."""
        # A supervisor that was stopped for long has a full pipe, one that is gone has none.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.beats, bytes([self.number]))


@dataclass(slots=True)
class _Worker:
    process: ForkProcess | None = None
    has_served: bool = False
    silent_s: float | None = None
    """For how long it has said nothing, since its start; None while there is none, and once it was killed for
    that."""
    started_s: float = 0.0
    pause_s: float = 0.0
    due_s: float = 0.0


@dataclass(slots=True)
class _Pipe:
    """A pipe's two ends; reading from it never waits."""

    ends: tuple[int, int] = field(default_factory=os.pipe)

    def __post_init__(self) -> None:
        for end in self.ends:
            os.set_blocking(end, False)

    @property
    def read_end(self) -> int:
        return self.ends[0]

    @property
    def write_end(self) -> int:
        return self.ends[1]

    def close(self) -> None:
        for end in self.ends:
            os.close(end)


class Supervisor:
    """Runs ``work`` in so many processes until a signal ends them."""

    def __init__(
        self,
        work: Callable[[Ties], None],
        count: int,
        on_ready: Callable[[], None],
        *,
        hung_s: float = HUNG_S,
        start_s: float = START_S,
    ) -> None:
        """Make one that has started nothing.

        :param on_ready: called once, when all of them serve
        :param hung_s: a worker that served and has said nothing for so long is killed and replaced
        :param start_s: one that does not serve within so long, too
        """
        self._work = work
        self._on_ready = on_ready
        self._hung_s = hung_s
        self._start_s = start_s
        self._workers = [_Worker() for _ in range(count)]
        self._beats, self._alive, self._signals = _Pipe(), _Pipe(), _Pipe()
        self._has_started = False

    def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT.

        :raises SettingError: one ended before all of them served
        """
        try:
            with self._signalled():
                try:
                    while self._go_on():
                        pass
                finally:
                    self._stop()
        finally:
            for pipe in (self._beats, self._alive, self._signals):
                pipe.close()

    def _go_on(self) -> bool:
        """Start what is due, and wait for whatever happens next. False: a signal came."""
        now_s = time.monotonic()
        for number, worker in enumerate(self._workers):
            if worker.process is None and worker.due_s <= now_s:
                self._start(number, worker)
        happened = self._wait()
        waited_s = min(time.monotonic() - now_s, BEAT_S)
        if self._signals.read_end in happened:
            return False
        for worker in self._workers:
            if worker.silent_s is not None:
                worker.silent_s += waited_s
        if self._beats.read_end in happened:
            self._note_beats()
        for worker in self._workers:
            if worker.process is not None and worker.process.sentinel in happened:
                self._note_end(worker)
            elif worker.silent_s is not None and worker.silent_s >= self._most_silent_s(worker):
                self._kill_hung(worker)
        return True

    def _most_silent_s(self, worker: _Worker) -> float:
        return self._hung_s if worker.has_served else self._start_s

    def _wait(self) -> list[object]:
        sentinels = [worker.process.sentinel for worker in self._workers if worker.process is not None]
        due_s = [worker.due_s for worker in self._workers if worker.process is None]
        left_s = min([BEAT_S, *(max(0.0, due - time.monotonic()) for due in due_s)])
        return list(connection.wait([self._signals.read_end, self._beats.read_end, *sentinels], left_s))

    def _start(self, number: int, worker: _Worker) -> None:
        ties = Ties(number, self._beats.write_end, self._alive.read_end)
        # A signal that comes before the worker has handlers of its own would be handled by this one's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            worker.process = _context.Process(target=self._begin, args=(ties, before))
            worker.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        worker.has_served, worker.silent_s = False, 0.0
        worker.started_s = time.monotonic()

    def _begin(self, ties: Ties, mask: set[signal.Signals]) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for end in (self._beats.read_end, self._alive.write_end, *self._signals.ends):
            os.close(end)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._work(ties)

    def _note_beats(self) -> None:
        for number in set(os.read(self._beats.read_end, _PIPE_BYTES)):
            worker = self._workers[number]
            # Of one that was killed a beat may still be in the pipe.
            if worker.silent_s is not None:
                worker.has_served, worker.silent_s = True, 0.0
        if not self._has_started and all(worker.has_served for worker in self._workers):
            self._has_started = True
            self._on_ready()

    def _kill_hung(self, worker: _Worker) -> None:
        assert worker.process is not None
        what = "its event loop has not gone round" if worker.has_served else "it has not begun to serve"
        _logger.warning(
            "worker %d hangs: %s for %g s; it is killed",
            worker.process.pid,
            what,
            self._most_silent_s(worker),
        )
        worker.silent_s = None
        worker.process.kill()

    def _note_end(self, worker: _Worker) -> None:
        assert worker.process is not None
        worker.process.join()
        how = _how_it_ended(worker.process.exitcode)
        if not self._has_started:
            raise SettingError(f"a worker {how} before it served; what it said is above")
        now_s = time.monotonic()
        lasted = now_s - worker.started_s >= _LASTED_S
        worker.pause_s = _FIRST_PAUSE_S if lasted or not worker.pause_s else worker.pause_s * 2
        worker.pause_s = min(worker.pause_s, _MOST_PAUSE_S)
        worker.due_s = now_s + worker.pause_s
        _logger.warning("worker %d %s; another is started in %.1f s", worker.process.pid, how, worker.pause_s)
        worker.process = worker.silent_s = None

    def _stop(self) -> None:
        processes = [worker.process for worker in self._workers if worker.process is not None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                _logger.warning("worker %d did not end, and was killed", process.pid)
                process.kill()
                process.join()

    @contextmanager
    def _signalled(self) -> Iterator[None]:
        """Have signals that end this process be read from a pipe."""
        before = {number: signal.signal(number, self._note_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note_signal(self, number: int, _: object) -> None:
        os.write(self._signals.write_end, bytes([number]))


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"
