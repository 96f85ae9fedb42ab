# SPDX-License-Identifier: Apache-2.0
"""Runs the demonstration: one process per case, each ends within a second of being asked to."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from demo.errors import DemoError, KvmUnavailableError
from demo.kvm import Kvm
from demo.programme import PROGRAMME, Case
from demo.rates import Pace
from demo.scene import Scene

LEFT_OUT = 3
"""Exit status of a case's process on a kernel that lacks what it shows."""

_TICK_SECONDS = 0.1
_POLL_SECONDS = 0.5
_END_SECONDS = 10.0
"""A guest ends within a tick; on a busy host it may have to wait for that."""
_TRUTH_SECONDS = 20.0
"""What they did is worth waiting for, on a busy host too."""

logger = logging.getLogger(__name__)


def cases_named(names: Sequence[str]) -> list[Case]:
    """Return the cases of these names, all of them if there are none.

    :raises DemoError: naming the one that does not exist
    """
    known = {case.name: case for case in PROGRAMME}
    for name in names:
        if name not in known:
            raise DemoError(f"no case {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(PROGRAMME)


def show(cases: Sequence[Case], *, duration: float | None, truth: bool) -> int:
    """Run cases in processes of their own until the duration is over, a signal comes or all have failed.

    :param duration: in seconds, from when all have begun; None for ever
    :param truth: print a line of JSON for each VM at the end
    :return: the exit status: 1 if a guest failed, or if this kernel can show none of the cases
    :raises KvmUnavailableError: this host cannot run any guest
    """
    kvm = Kvm()
    kvm.create_vm().close()
    kvm.close()
    stop = _stop_on_signals()
    command = [sys.executable, "-m", "demo", "case", *(["--truth"] if truth else [])]
    processes = [
        subprocess.Popen([*command, case.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for case in cases
    ]
    while not all(map(_has_begun, processes, cases)) and not stop.wait(_POLL_SECONDS):
        pass
    end = None if duration is None else time.monotonic() + duration
    while any(process.poll() is None for process in processes) and not stop.wait(_poll_seconds(end)):
        if end is not None and time.monotonic() >= end:
            break
    return _end(processes, _TRUTH_SECONDS if truth else _END_SECONDS)


def perform(case: Case, *, truth: bool) -> int:
    """Be one case's process, until a signal comes or standard input ends, as it does when its parent dies.

    :return: the exit status, ``LEFT_OUT`` where this kernel lacks what the case shows
    """
    stop = _stop_on_signals()
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    Path("/proc/self/comm").write_text(case.vmm)
    scenes: list[Scene] = []
    try:
        scenes.extend(role.make() for role in case.roles)
        _play(case, scenes, stop)
        if truth and case.is_exact:
            sys.stdout.write("".join(f"{scene.truth(case.vmm).to_json()}\n" for scene in scenes))
    except KvmUnavailableError as error:
        logger.warning("case %s is left out: %s", case.name, error)
        return LEFT_OUT
    finally:
        for scene in scenes:
            scene.close()
    return 0


def _has_begun(process: subprocess.Popen[str], case: Case) -> bool:
    """Return whether a case's process can be asked to end: before it has its name, a signal would kill it."""
    try:
        return (
            Path(f"/proc/{process.pid}/comm").read_text().rstrip("\n") == case.vmm
            or process.poll() is not None
        )
    except FileNotFoundError:
        return True


def _play(case: Case, scenes: Sequence[Scene], stop: threading.Event) -> None:
    begin = time.monotonic()
    paces = [Pace(role.rate) for role in case.roles]
    while not stop.wait(_TICK_SECONDS):
        now = time.monotonic() - begin
        for scene, pace in zip(scenes, paces, strict=True):
            if count := pace.due(now):
                scene.act(count)


def _end(processes: Sequence[subprocess.Popen[str]], seconds: float) -> int:
    """Ask all to end, pass on what they say, and kill those that take too long."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            said, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        sys.stdout.write(said)
    statuses = [process.returncode for process in processes]
    return int(any(status not in (0, LEFT_OUT) for status in statuses) or all(statuses))


def _poll_seconds(end: float | None) -> float:
    return _POLL_SECONDS if end is None else max(min(_POLL_SECONDS, end - time.monotonic()), 0)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin: a thread inside it would keep its lock when the interpreter ends.
    while os.read(0, 4096):
        pass
    stop.set()
