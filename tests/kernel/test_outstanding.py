# SPDX-License-Identifier: Apache-2.0
"""Faults that have begun and not ended: listed while they last, with what is known of handlers."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from demo.memory import PAGE
from demo.userfaultfd import Userfaultfd
from faultmodel.kinds import EventKind
from faultmodel.record_outstanding import Outstanding
from faultmodel.waits import Handler, WaitsFor
from tests.kernel.attached import skip_where_stalls_are_not_measured
from tests.kernel.looked import Looked, looked
from tests.product import TOP, wait_for

pytestmark = pytest.mark.kernel

PAGES = 8
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def _measured(headers_cache: Path) -> None:
    skip_where_stalls_are_not_measured(headers_cache)


class Scene:
    """A guest with two vCPUs, a userfaultfd over some of its memory, and what is listed of it."""

    def __init__(self, found: Looked, guest: Guest, region: Region) -> None:
        self.region = region
        self.userfaultfd = Userfaultfd(region.require_memory())
        self._found = found
        self._guest = guest
        self._touches: list[threading.Thread] = []
        self.events: list[EventKind] = []

    def touch(self, page: int, vcpu: int = 0, op: Op = Op.READ) -> None:
        """Have a vCPU touch a page: it waits for it."""
        touch = self.region.touch(op, 1, first=page)
        self._touches.append(threading.Thread(target=self._guest.touch, args=(touch,), kwargs={"vcpu": vcpu}))
        self._touches[-1].start()

    def gpa(self, page: int) -> int:
        """Where a page is in the VM's memory."""
        return self.region.gpa + page * PAGE

    def provide(self, page: int) -> None:
        """Provide a page, and wait until whoever touched one goes on."""
        self.userfaultfd.provide(self.region.require_memory().address + page * PAGE)
        self.wait()

    def wait(self) -> None:
        """Wait until whoever touched a page goes on."""
        for thread in self._touches:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        self._touches.clear()

    def listed(self) -> Sequence[Outstanding] | None:
        """What the next reading lists; None if it says nothing of it."""
        rows = self._found.rows()
        self.events += [event.kind for event in rows.get("events", ())]
        return rows["outstanding"] if "outstanding_looks" in rows else None

    def once(self, **wanted: Any) -> Outstanding:
        """Wait until one fault is listed, with these fields."""

        def as_wanted() -> Outstanding | None:
            rows = self.listed() or ()
            return next(
                (row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())),
                None,
            )

        return wait_for(as_wanted, PATIENCE_S, f"a fault under way with {wanted}")


@pytest.fixture
def scene(headers_cache: Path) -> Iterator[Scene]:
    """A guest whose pages nobody provides but the test."""
    layout = Layout()
    region = layout.add(memory.anonymous(PAGES))
    with looked(headers_cache) as found, Guest(layout, vcpus=2) as guest:
        guest.warm_up()
        region.require_memory().discard()
        made = Scene(found, guest, region)
        try:
            yield made
        finally:
            # Closed, it keeps nobody waiting.
            made.userfaultfd.close()
            made.wait()


@contextmanager
def process(userfaultfd: Userfaultfd) -> Iterator[subprocess.Popen[str]]:
    """A process that has it too, reads the requests, and answers none."""
    command = [sys.executable, "-m", "tests.kernel.userfaultfd_process", str(userfaultfd.fileno())]
    with subprocess.Popen(
        command, cwd=TOP, stdout=subprocess.PIPE, text=True, pass_fds=[userfaultfd.fileno()]
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_fault_is_listed_while_it_lasts(scene: Scene) -> None:
    scene.touch(3)
    row = scene.once(vcpu=0, waits_for=WaitsFor.USERFAULTFD)
    assert (row.gpa, row.handler_pid, row.detail) == (scene.gpa(3), None, "")
    assert row.gva is not None
    # Nobody reads the request.
    dead = scene.once(vcpu=0, handler=Handler.DEAD)
    assert dead.age_ns > row.age_ns
    assert scene.userfaultfd.touched(PATIENCE_S) is not None
    assert scene.once(vcpu=0).handler is Handler.ALIVE
    scene.provide(3)
    assert (scene.listed(), scene.listed()) == ([], None)


def test_vcpus_that_wait_are_listed_apart_the_longest_first(scene: Scene) -> None:
    scene.touch(1, vcpu=1)
    scene.once(vcpu=1)
    scene.touch(2, vcpu=0)
    scene.once(vcpu=0)
    rows = scene.listed() or ()
    assert [(row.vcpu, row.gpa) for row in rows] == [(1, scene.gpa(1)), (0, scene.gpa(2))]
    for page in (1, 2):
        scene.userfaultfd.provide(scene.region.require_memory().address + page * PAGE)
    scene.wait()
    assert not scene.listed()


def test_a_handler_of_its_own_process_is_alive_until_it_is_stopped_or_ends(scene: Scene) -> None:
    with process(scene.userfaultfd) as handler:
        scene.touch(0)
        assert handler.stdout is not None
        assert handler.stdout.readline()
        alive = scene.once(handler=Handler.ALIVE)
        assert alive.handler_pid == handler.pid
        handler.send_signal(signal.SIGSTOP)
        scene.once(handler=Handler.DEAD, handler_pid=handler.pid)
        handler.send_signal(signal.SIGCONT)
        scene.once(handler=Handler.ALIVE, handler_pid=handler.pid)
        handler.kill()
        handler.wait()
        dead = scene.once(handler=Handler.DEAD, handler_pid=None)
        assert dead.gpa == scene.gpa(0)
    scene.provide(0)
    assert not scene.listed()


@pytest.mark.parametrize("op", [Op.READ, Op.WRITE])
def test_one_that_is_closed_while_a_page_is_missing_is_said_to_be(scene: Scene, op: Op) -> None:
    scene.touch(5, op=op)
    waiting = scene.once(vcpu=0, gpa=scene.gpa(5))
    scene.userfaultfd.close()
    scene.wait()
    closed = scene.once(handler=Handler.CLOSED)
    assert (closed.vcpu, closed.gpa, closed.gva) == (0, waiting.gpa, waiting.gva)
    later = scene.once(handler=Handler.CLOSED)
    assert later.age_ns > closed.age_ns
    assert scene.events == [EventKind.USERFAULTFD_CLOSED]


@pytest.mark.parametrize("op", [Op.READ, Op.WRITE])
def test_one_that_is_closed_in_order_is_not(scene: Scene, op: Op) -> None:
    # To write to the page of zeros that the handler provided is one more fault of the host's.
    scene.touch(5, op=op)
    scene.once(vcpu=0, gpa=scene.gpa(5))
    scene.provide(5)
    scene.userfaultfd.close()
    found = [scene.listed() for _ in range(5)]
    assert (found, scene.events) == ([[], None, None, None, None], [])


def test_where_nothing_is_shown_of_handlers_a_check_says_so(
    headers_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.probe.userfaultfds._HOLDERS", "nothing")
    layout = Layout()
    region = layout.add(memory.anonymous(PAGES))
    with looked(headers_cache) as found, Guest(layout, vcpus=2) as guest:
        guest.warm_up()
        region.require_memory().discard()
        scene = Scene(found, guest, region)
        scene.touch(0)
        row = scene.once(vcpu=0)
        assert (row.handler, row.gpa, row.waits_for) == (None, None, WaitsFor.USERFAULTFD)
        checks = {one.name: one.found for one in found.watchers.checks}
        assert checks["outstanding"].startswith("whether userfaultfd handlers live is not known: ")
        scene.userfaultfd.close()
        scene.wait()
