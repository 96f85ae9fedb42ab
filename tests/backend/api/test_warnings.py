# SPDX-License-Identifier: Apache-2.0
"""An answer says which part of its range it cannot know of."""

from typing import Any

import pytest

from faultmodel.kinds import HostState
from faultmodel.record import Span
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, fault_count, make_batch, make_host, make_vm

OTHER = "00000000000000b2"
STREAM_2 = "b" * 32
EVERYONE = (
    "/api/v1/vms",
    "/api/v1/guests",
    "/api/v1/rates",
    "/api/v1/ledger",
    "/api/v1/costs",
    "/api/v1/exits",
)
OF_A_VM = (
    f"/api/v1/vms/{VM_ID}",
    f"/api/v1/vms/{VM_ID}/flags",
    f"/api/v1/vms/{VM_ID}/syndromes",
    f"/api/v1/vms/{VM_ID}/faults",
)
NAMED = ("/api/v1/rates", "/api/v1/ledger", "/api/v1/exits")
SECOND = 1000


def covered(sequence: int, *spans: tuple[int, int], vm_from_s: int = 0, ended_s: int | None = None) -> Any:
    """Return a batch of spans, s after the start, and of a VM."""
    vm = make_vm(
        started_ns=START_NS + vm_from_s * NS_PER_S,
        ended_ns=None if ended_s is None else START_NS + ended_s * NS_PER_S,
    )
    return make_batch(
        sequence,
        vms=[vm],
        covered=[Span(START_NS + int(a * NS_PER_S), START_NS + int(b * NS_PER_S)) for a, b in spans],
        fault_counts=[fault_count(second=vm_from_s)],
    )


def ms(second: float) -> int:
    """Return a time, s after the start, as UTC ms."""
    return START_MS + int(second * 1000)


def warnings(server: Server, path: str, from_s: float, to_s: float, **further: Any) -> Any:
    """Return an answer's warnings."""
    return server.get(path, from_=ms(from_s), to=ms(to_s), **further)["warnings"]


@pytest.mark.parametrize("path", EVERYONE)
def test_a_gap_of_a_host_is_said_with_its_ends_and_how_much_it_is(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 10), (12, 20), (25, 30)))
    assert warnings(server, path, 0, 10) == []
    assert warnings(server, path, 0, 30) == [not_covered(ms(10), ms(25), 7 * SECOND)]
    assert warnings(server, path, 13, 15) == []
    assert warnings(server, path, 11, 12) == [not_covered(ms(11), ms(12))]


@pytest.mark.parametrize("path", EVERYONE)
def test_what_is_before_the_first_covered_time_is_said_where_the_range_begins_before(
    server: Server, path: str
) -> None:
    server.apply(covered(0, (0, 40)))
    assert warnings(server, path, -100, 30) == [not_covered(ms(-100), ms(0))]


@pytest.mark.parametrize("path", ["/api/v1/vms", "/api/v1/guests", "/api/v1/exits"])
def test_all_time_begins_with_what_is_covered(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 20), (30, 45)))
    assert server.get(path)["warnings"] == [not_covered(ms(20), ms(30))]


@pytest.mark.parametrize("path", EVERYONE)
def test_the_newest_seconds_may_be_under_way_and_are_no_gap(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 45)))
    assert server.get(path, from_=ms(0))["warnings"] == []
    server.clock.now_ns += NS_PER_S
    assert server.get(path, from_=ms(0))["warnings"] == [not_covered(ms(45), ms(46))]


@pytest.mark.parametrize("path", ["/api/v1/rates", "/api/v1/exits", f"/api/v1/vms/{VM_ID}/faults"])
def test_an_answer_about_a_range_that_has_just_ended_is_not_kept(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 40)))
    assert warnings(server, path, 0, 50) == [not_covered(ms(40), ms(45))]
    server.clock.now_ns += 10 * NS_PER_S
    assert warnings(server, path, 0, 50) == [not_covered(ms(40), ms(50))]


@pytest.mark.parametrize("path", EVERYONE)
def test_a_host_that_is_asked_for_is_the_only_one_that_is_said(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 10)), make_batch(0, host=make_host("host-2"), stream=STREAM_2))
    both = [not_covered(ms(10), ms(30)), not_covered(ms(1), ms(30), host="host-2")]
    assert warnings(server, path, 0, 30) == both
    if path not in ("/api/v1/guests", "/api/v1/exits"):
        assert warnings(server, path, 0, 30, host="host-2") == both[1:]


@pytest.mark.parametrize("path", OF_A_VM)
def test_a_vm_needs_its_host_only_while_it_is_there(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 10), (15, 40), vm_from_s=2, ended_s=20))
    assert warnings(server, path, -50, 45) == [not_covered(ms(10), ms(15))]
    assert warnings(server, path, 20, 45) == []
    assert server.get(path)["warnings"] == [not_covered(ms(10), ms(15))]


@pytest.mark.parametrize("path", OF_A_VM)
def test_a_vm_that_was_there_before_it_was_traced(server: Server, path: str) -> None:
    server.apply(covered(0, (0, 40), vm_from_s=-30))
    assert warnings(server, path, -60, 30) == [not_covered(ms(-30), ms(0))]


@pytest.mark.parametrize("path", NAMED)
def test_of_vms_that_are_named_each_needs_its_host_while_it_is_there(server: Server, path: str) -> None:
    other = make_vm(OTHER, pid=7, started_ns=START_NS + 20 * NS_PER_S, uuid="", name="other")
    server.apply(covered(0, (0, 8), (26, 45), ended_s=10), make_batch(1, vms=[other], covered=()))
    assert warnings(server, path, 0, 45, vm=VM_ID) == [not_covered(ms(8), ms(10))]
    assert warnings(server, path, 0, 45, vm=[VM_ID, OTHER]) == [not_covered(ms(8), ms(26), 8 * SECOND)]


@pytest.mark.parametrize("path", EVERYONE)
def test_a_recording_is_all_that_there_is_of_its_time(server: Server, path: str) -> None:
    server.apply(make_batch(0, host=make_host("trace.dat", state=HostState.REPLAY)))
    assert warnings(server, path, 0, 30) == []


def test_a_host_that_was_never_covered_has_nothing_that_could_be_lacking(server: Server) -> None:
    server.apply(make_batch(0, covered=()))
    assert warnings(server, "/api/v1/vms", 0, 30) == []


def test_a_hundred_hosts_are_said_and_how_many_more_there_are(server: Server) -> None:
    server.apply(
        *(
            make_batch(
                0, host=make_host(f"host-{number:03}"), stream=f"{number:032x}", vms=[], fault_counts=[]
            )
            for number in range(103)
        )
    )
    answer = server.get("/api/v1/vms", from_=ms(0), to=ms(30))
    assert [one["host"] for one in answer["warnings"]] == [f"host-{number:03}" for number in range(100)]
    assert answer["warnings_left_out"] == 3
