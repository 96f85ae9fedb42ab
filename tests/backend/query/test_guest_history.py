# SPDX-License-Identifier: Apache-2.0
"""What happened to a guest, as its VMs' times show it."""

import pytest

from backend.query.guest_history import at_once, events_of
from backend.store.contract.vms import VmMember
from tests.batches import START_MS

Life = tuple[str, str, int, int | None]
"""A VM's id, its host, the seconds in which it started and ended; None where it runs at second 1000."""
NOW_S = 1000


def member(vm_id: str, host: str, from_s: int, to_s: int | None) -> VmMember:
    """Return a VM of a guest, in a process of its own."""
    from_ms = START_MS + from_s * 1000
    end_ms = START_MS + (NOW_S if to_s is None else to_s) * 1000
    return VmMember(
        number=from_s,
        id=vm_id,
        reported_id=vm_id,
        host=host,
        arch="x86_64",
        pid=from_s + 1,
        name="web",
        uuid="",
        vmm="qemu",
        manager="",
        started_ns=from_ms * 10**6,
        ended_ns=None if to_s is None else end_ms * 10**6,
        first_seen_ms=from_ms,
        life_end_ms=end_ms,
        is_current=to_s is None,
        boot_id="boot",
        guest="9" * 16,
    )


def happened(*vms: VmMember) -> list[tuple[int, str, str, str | None]]:
    """Return second, kind, VM and the VM before it of each event."""
    return [
        (
            (event.at_ms - START_MS) // 1000,
            event.kind.value,
            event.vm.id,
            event.former.id if event.former else None,
        )
        for event in events_of(vms)
    ]


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        pytest.param([("a", "h1", 0, None)], [(0, "start", "a", None)], id="runs"),
        pytest.param(
            [("a", "h1", 0, 9), ("b", "h1", 20, None)],
            [(0, "start", "a", None), (9, "end", "a", None), (20, "restart", "b", "a")],
            id="restart",
        ),
        pytest.param(
            [("a", "h1", 0, 12), ("b", "h1", 10, None)],
            [(0, "start", "a", None), (10, "end", "a", None), (10, "restart", "b", "a")],
            id="restart, and the end is noticed late",
        ),
        pytest.param(
            [("a", "h1", 0, 9), ("b", "h2", 20, 30)],
            [
                (0, "start", "a", None),
                (9, "end", "a", None),
                (20, "host_change", "b", "a"),
                (30, "end", "b", None),
            ],
            id="started on another host",
        ),
        pytest.param(
            [("a", "h1", 0, 60), ("b", "h2", 50, None)],
            [(0, "start", "a", None), (50, "start", "b", None), (60, "move", "b", "a")],
            id="live migration",
        ),
        pytest.param(
            [("a", "h1", 0, 60), ("b", "h2", 50, 90), ("c", "h1", 80, None)],
            [
                (0, "start", "a", None),
                (50, "start", "b", None),
                (60, "move", "b", "a"),
                (80, "start", "c", None),
                (90, "move", "c", "b"),
            ],
            id="there and back",
        ),
        pytest.param(
            [("a", "h1", 0, None), ("b", "h2", 50, 60)],
            [(0, "start", "a", None), (50, "start", "b", None), (60, "end", "b", None)],
            id="a migration that failed",
        ),
        pytest.param(
            [("a", "h1", 0, 60), ("b", "h1", 20, None)],
            [(0, "start", "a", None), (20, "start", "b", None), (60, "end", "a", None)],
            id="two on one host",
        ),
    ],
)
def test_each_vm_has_one_beginning_and_one_end(
    lives: list[Life], expected: list[tuple[int, str, str, str | None]]
) -> None:
    vms = [member(*life) for life in lives]
    assert happened(*vms) == expected
    assert happened(*reversed(vms)) == expected


def test_a_vm_of_which_no_end_was_seen_ended_when_it_was_seen_last() -> None:
    lost = member("a", "h1", 0, 40)._replace(ended_ns=None)
    last = events_of([lost])[-1]
    assert (last.kind.value, (last.at_ms - START_MS) // 1000, last.is_seen) == ("end", 40, False)


def test_a_vm_whose_host_is_not_heard_of_any_more_may_run_on() -> None:
    silent = member("a", "h1", 0, None)._replace(life_end_ms=START_MS + 40_000)
    assert happened(silent, member("b", "h2", 60, None)) == [
        (0, "start", "a", None),
        (60, "host_change", "b", "a"),
    ]


def test_the_next_vm_of_a_process_begins_when_it_is_seen_first() -> None:
    first = member("a", "h1", 0, 9)
    second = member("b", "h1", 9, None)._replace(pid=first.pid, started_ns=first.started_ns + 20)
    assert happened(first, second) == [
        (0, "start", "a", None),
        (9, "end", "a", None),
        (9, "restart", "b", "a"),
    ]


def together(*vms: VmMember) -> list[tuple[int, int, str, bool]]:
    """Return the seconds in which several VMs ran, which those were, and whether that goes on."""
    return [
        (
            (one.from_ms - START_MS) // 1000,
            (one.to_ms - START_MS) // 1000,
            "".join(vm.id for vm in one.vms),
            one.goes_on,
        )
        for one in at_once(vms)
    ]


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        pytest.param([("a", "h1", 0, 9), ("b", "h1", 20, None)], [], id="one after the other"),
        pytest.param([("a", "h1", 0, 12), ("b", "h1", 10, None)], [], id="noticed late"),
        pytest.param([("a", "h1", 0, 60), ("b", "h2", 50, None)], [(50, 60, "ab", False)], id="migration"),
        pytest.param([("a", "h1", 0, None), ("b", "h2", 50, None)], [(50, 1000, "ab", True)], id="goes on"),
        pytest.param(
            [("a", "h1", 0, 60), ("b", "h2", 50, 90), ("c", "h1", 80, None), ("d", "h1", 200, None)],
            [(50, 60, "ab", False), (80, 90, "bc", False), (200, 1000, "cd", True)],
            id="again",
        ),
    ],
)
def test_times_in_which_several_ran_are_known(
    lives: list[Life], expected: list[tuple[int, int, str, bool]]
) -> None:
    assert together(*(member(*life) for life in lives)) == expected
