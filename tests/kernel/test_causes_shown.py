# SPDX-License-Identifier: Apache-2.0
"""From the kernel to the API: each exit of a guest has the cause that its VMM made."""

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.demo.command import report_of
from tests.kernel.guests import run_guest, start_guest, truth_of
from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel

BARE, MEMORY_FAULTS = 13, 37


@pytest.fixture
def looking(own_product: Product) -> Product:
    """A product whose collector looks for causes: what fails before that has none."""

    def found() -> bool | None:
        (host,) = own_product.get("status")["hosts"]
        return any(check["name"] == "causes" for check in host["checks"]) or None

    wait_for(found, SEEN_S, "causes are looked for")
    return own_product


def _causes(product: Product, pid: int, exits: int) -> Counter[str]:
    """Return the causes of so many exits of a process's VM, once all are known."""

    def found() -> list[dict[str, Any]] | None:
        vms = product.get("vms", pid=pid)["items"]
        items = product.get("causes", vm=vms[0]["id"])["items"] if vms else []
        return items if sum(item["count"] for item in items) >= exits else None

    items = wait_for(found, SEEN_S, f"the causes of {exits} exits")
    return Counter({item["cause"]: item["count"] for item in items})


def test_exits_have_the_causes_that_the_vmm_made(looking: Product) -> None:
    with start_guest(hold=True, bare_error=BARE, memory_fault=MEMORY_FAULTS) as guest:
        assert guest.stdout is not None
        truth = truth_of(guest.stdout.readline())
        found = _causes(looking, truth.pid, BARE + MEMORY_FAULTS)
        guest.communicate(timeout=60)
    assert found == {"prot_none": BARE, "guest_memfd_failed": MEMORY_FAULTS}
    exits = looking.get("exits", vm=looking.get("vms", pid=truth.pid)["items"][0]["id"])["items"]
    assert Counter((item["kind"], item["cause"]) for item in exits) == {
        ("bare_error", "prot_none"): BARE,
        ("memory_fault", "guest_memfd_failed"): MEMORY_FAULTS,
    }


def test_exits_of_a_vmm_that_ends_at_once_are_counted_all_the_same(looking: Product) -> None:
    truth = run_guest(bare_error=BARE)
    found = _causes(looking, truth.pid, BARE)
    # On a host that is busy the process may have ended before it is looked at.
    assert found.total() == BARE
    assert found.keys() <= {"prot_none", "unknown"}


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("bare-error", "prot_none"),
        ("unmapped", "not_mapped"),
        ("truncated", "file_truncated"),
        ("full-tmpfs", "tmpfs_full"),
    ],
)
def test_a_case_of_the_demonstration_has_its_cause(looking: Product, case: str, cause: str) -> None:
    command = [sys.executable, "-m", "demo", "case", case, "--truth"]
    with subprocess.Popen(
        command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert set(_causes(looking, process.pid, 1)) == {cause}
        output, _ = process.communicate(timeout=60)
    truth = report_of(output)
    found = _causes(looking, process.pid, len(truth.exits))
    assert found.total() == len(truth.exits)
    assert found.keys() <= {cause, "unknown"}, "what was not looked at before the process ended is not known"
