# SPDX-License-Identifier: Apache-2.0
"""Faults of a real guest that have begun and not ended, as the API shows them."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture
def measuring(product: Product) -> Product:
    """The product, on a host where stalls are measured."""
    (host,) = product.get("status")["hosts"]
    if host["flavour"] != "pvm":
        pytest.skip(f"stalls are measured on PVM so far, not on {host['flavour']}")
    return product


@pytest.fixture
def guest() -> Iterator[subprocess.Popen[str]]:
    """A guest that does what its input says."""
    command = [sys.executable, "-m", "tests.kernel.waiting_guest"]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def _tell(guest: subprocess.Popen[str], what: str) -> None:
    assert guest.stdin is not None
    guest.stdin.write(f"{what}\n")
    guest.stdin.flush()


def test_a_fault_is_shown_while_it_lasts_and_one_whose_page_was_lost_too(
    measuring: Product, guest: subprocess.Popen[str]
) -> None:
    vm = measuring.vm_with(guest.pid, faults=1)["id"]

    def listed(handler: str | None) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            items = measuring.get("outstanding", vm=vm)["items"]
            return next((item for item in items if item["handler"] == handler), None)

        return wait_for(look, SEEN_S, f"a fault under way whose handler is {handler}")

    _tell(guest, "touch")
    item = listed("dead")
    assert (item["vcpu"], item["waits_for"], item["is_stale"]) == (0, "userfaultfd", False)
    assert item["gpa"] is not None
    assert item["age_s"] >= 2
    assert measuring.get("overview")["stalled"]["outstanding"] >= 1
    _tell(guest, "provide")
    wait_for(lambda: None if measuring.get("outstanding", vm=vm)["items"] else True, SEEN_S, "its end")
    _tell(guest, "touch")
    item = listed("dead")
    _tell(guest, "close")
    assert listed("closed")["gpa"] == item["gpa"]
    events = measuring.get("host-events")["items"]
    assert [event["kind"] for event in events if event["vm"] == vm] == ["userfaultfd_closed"]
