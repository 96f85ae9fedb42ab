# SPDX-License-Identifier: Apache-2.0
"""Livelocks of guests in an emulated machine, and another guest that is merely busy."""

from dataclasses import dataclass
from typing import Any

from tests.emulated.machine import Answer
from tests.emulated.session import Stage, all_of

_SHOWN_S = 1200.0
_BUSY_S = 6
"""Beside a page that is held: longer than a vCPU is held until that is a livelock."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A livelock as the server lists it: while it lasts, and once it is over."""

    lasting: dict[str, Any]
    over: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Beside:
    """A livelock that was seen beside a busy guest: how that ended, and what livelocks are listed of it."""

    seen: Seen
    busy: Answer
    of_busy: list[dict[str, Any]]


def held_page(stage: Stage) -> Beside:
    """Hold a guest's page, as the demonstration does, while another guest is busy."""
    _count_anew(stage)
    held = stage.machine.start("held.log", "demo", "case", "livelock")
    busy = stage.machine.python("tests.kernel.busy_guest", str(_BUSY_S))
    seen = _seen(stage, held)
    return Beside(seen, busy, _listed(stage, int(busy.output or 0)))


def endless_fault(stage: Stage) -> Seen | None:
    """Run the guest that arm64's KVM never lets go on; None where it does, as on all but Linux 6.18."""
    if stage.machine.kernel.version != (6, 18):
        return None
    _count_anew(stage)
    return _seen(stage, stage.machine.start("looping.log", "tests.emulated.looping"))


def _count_anew(stage: Stage) -> None:
    """Have a collector count that records samples alone: such a guest has no end of faults."""
    stage.until_state("stopped")
    stage.start_collector()
    stage.until_state("attached")
    stage.until_looking()


def _seen(stage: Stage, pid: int) -> Seen:
    """Wait until a process's vCPU is in a livelock, end the process, and wait until that is over."""
    lasting = stage.until(lambda: _newest(stage, pid, is_over=False), _SHOWN_S, "a livelock has begun")
    stage.machine.stop(pid)
    over = stage.until(lambda: _newest(stage, pid, is_over=True), _SHOWN_S, "the livelock is over")
    return Seen(lasting, over)


def _newest(stage: Stage, pid: int, *, is_over: bool) -> dict[str, Any] | None:
    found = _listed(stage, pid)
    return found[0] if found and (found[0]["until"] is not None) == is_over else None


def _listed(stage: Stage, pid: int) -> list[dict[str, Any]]:
    vm = stage.product.vm(pid)
    return all_of(stage.product, "livelocks", vm=vm["id"]) if vm else []
