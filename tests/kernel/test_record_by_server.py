# SPDX-License-Identifier: Apache-2.0
"""A VM recorded in full because its server was asked: by a real guest, whose truth is known."""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

import pytest

from demo.exact import ExactGuest, Order
from demo.truth import Truth
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel

ORDER = Order(write=1201, read=307, vcpus=2)
FAULTS = 1508
_NOT_SOON = 3600


def _send(product: Product, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    request = Request(f"{product.url}/api/v1/{path}", data, headers, method=method)
    with urlopen(request, timeout=60) as response:
        return json.load(response)


def _ask(product: Product, vm: str, seconds: int = _NOT_SOON) -> str:
    return str(_send(product, "POST", f"vms/{vm}/record", {"seconds": seconds})["id"])


def _wait(product: Product, vm: str, request: str, what: str, **expected: object) -> Any:
    """Wait until what became of a request is as expected, and return it."""

    def look() -> Any:
        found = product.get(f"vms/{vm}/record/{request}")
        return found if {name: found[name] for name in expected} == expected else None

    return wait_for(look, SEEN_S, what)


def _begun(product: Product, vm: str, request: str, *, after_s: float = 0.0) -> float:
    """Wait until whole readings are added up, and return for how long they are."""

    def look() -> Any:
        time = product.get(f"vms/{vm}/record/{request}")["time"]
        return time["all_s"] if time is not None and time["all_s"] > after_s else None

    return float(wait_for(look, SEEN_S, "all is recorded"))


def _records(product: Product, vm: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = product.get(f"vms/{vm}/faults", limit=1000, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def _faults(first: Truth) -> int:
    """Return how many faults a guest took that followed its order once, with those of its own pages."""
    extra = first.extra_faults
    return FAULTS + extra.read + extra.write + extra.execute


@pytest.fixture
def recording(own_server: Product) -> Product:
    """A product whose collector records nothing that nobody asks for."""
    own_server.start_collector("--budget", "0", "--records", "none")
    return own_server


def test_every_fault_of_that_time_is_recorded_and_none_before_or_after(recording: Product) -> None:
    with ExactGuest(ORDER) as guest:
        before = _faults(guest.follow("before"))
        vm = recording.vm_with(os.getpid(), faults=before)["id"]
        assert _records(recording, vm) == []
        request = _ask(recording, vm)
        _begun(recording, vm, request)

        guest.follow("while it is recorded")
        going = _wait(recording, vm, request, "its faults are recorded", seen=FAULTS)
        assert (going["state"], going["level"], going["is_final"]) == ("recording", "all", False)
        figures = ("recorded", "dropped", "left_out", "late", "missed", "dropped_batches")
        assert [going[name] for name in figures] == [FAULTS, 0, 0, 0, 0, 0]
        assert 0 < going["left_s"] <= _NOT_SOON

        _send(recording, "DELETE", f"vms/{vm}/record/{request}")
        over = _wait(recording, vm, request, "the host knows that it is over", is_final=True)
        guest.follow("after")
        recording.vm_with(os.getpid(), faults=before + 2 * FAULTS)
    assert (over["state"], over["end"], over["seen"], over["recorded"]) == (
        "over",
        "withdrawn",
        FAULTS,
        FAULTS,
    )
    assert over["time"]["sample_s"] == over["time"]["none_s"] == 0
    assert over["cost"]["cpu_s"] > 0
    times = sorted(record["time"] for record in _records(recording, vm))
    assert len(times) == FAULTS
    assert over["began_at"] <= times[0] <= times[-1] <= over["to"]


def test_a_collector_and_a_server_that_were_killed_go_on_with_it_until_the_vm_ends(
    recording: Product,
) -> None:
    with ExactGuest(ORDER) as guest:
        before = _faults(guest.follow("before"))
        vm = recording.vm_with(os.getpid(), faults=before)["id"]
        request = _ask(recording, vm)
        _begun(recording, vm, request)
        guest.follow("recorded by the first collector")
        first = _wait(recording, vm, request, "the first collector's are there", seen=FAULTS)

        recording.kill_collector()
        recording.start_collector("--budget", "0", "--records", "none")
        _begun(recording, vm, request, after_s=first["time"]["all_s"] + 0.1)
        guest.follow("recorded by the second")
        both = _wait(recording, vm, request, "both collectors' are there", seen=2 * FAULTS)
        assert (both["state"], both["recorded"]) == ("recording", 2 * FAULTS)

        recording.kill_server()
        guest.follow("while no server is there")
    recording.start_server()
    over = _wait(recording, vm, request, "what came meanwhile is there", is_final=True)
    assert (over["end"], over["seen"], over["recorded"]) == ("vm_ended", 3 * FAULTS, 3 * FAULTS)
    assert len(_records(recording, vm)) == 3 * FAULTS


def test_it_ends_by_itself(recording: Product) -> None:
    with ExactGuest(ORDER) as guest:
        guest.follow("before")
        vm = recording.vm_with(os.getpid(), faults=FAULTS)["id"]
        request = _ask(recording, vm, seconds=3)
        over = _wait(recording, vm, request, "it is over", state="over")
    assert (over["end"], over["left_s"]) == ("time", 0)
