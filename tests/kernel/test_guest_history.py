# SPDX-License-Identifier: Apache-2.0
"""A real guest that is started again keeps one history, in which each of its VMs' faults are counted once."""

from typing import Any

import pytest

from demo.machine import Op
from demo.qemu import QemuGuest
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel

UUID = "c3b1a0de-7d0e-4a0c-9d0e-2f6f0a4e9c57"
OTHER_UUID = "c3b1a0de-7d0e-4a0c-9d0e-2f6f0a4e9c58"


def live(product: Product, uuid: str, name: str, pages: int) -> str:
    """Have a guest live, touch pages and end; return its VM once all of that is seen."""
    with QemuGuest([(Op.WRITE, pages)], name=name, uuid=uuid) as guest:
        guest.do(0)
        pid = guest.pid
        product.vm_with(pid, faults=pages)

    def ended() -> dict[str, Any] | None:
        found = [vm for vm in product.get("vms", pid=pid)["items"] if vm["uuid"] == uuid]
        return found[0] if found and found[0]["ended_at"] else None

    return str(wait_for(ended, SEEN_S, "the end of the VM is seen")["id"])


def test_a_guest_that_is_started_again_keeps_one_history(product: Product) -> None:
    pages = (1021, 509, 257)
    lives = [
        live(product, UUID, name, number)
        for name, number in zip(("web", "web", "renamed"), pages, strict=True)
    ]
    other = live(product, OTHER_UUID, "web", 127)
    vms = {vm_id: product.get(f"vms/{vm_id}") for vm_id in (*lives, other)}
    (guest_id,) = {vms[vm_id]["guest"] for vm_id in lives}
    assert vms[other]["guest"] != guest_id
    assert len({vms[vm_id]["pid"] for vm_id in lives}) == 3

    guest = product.get(f"guests/{guest_id}")
    assert (guest["identified_by"], guest["uuid"], guest["name"]) == ("uuid", UUID, "renamed")
    assert [vm["id"] for vm in guest["vms"]] == lives[::-1]
    faults = sum(vms[vm_id]["faults"] for vm_id in lives)
    assert guest["faults"] == faults >= sum(pages)
    kinds = [(event["kind"], event["vm"], event["from_vm"]) for event in guest["events"]]
    assert kinds == [
        ("start", lives[0], None),
        ("end", lives[0], None),
        ("restart", lives[1], lives[0]),
        ("end", lives[1], None),
        ("restart", lives[2], lives[1]),
        ("end", lives[2], None),
    ]
    assert guest["at_once"] == []

    (series,) = product.get("rates", by="guest", guest=guest_id, from_="now-1h", step="1s")["series"]
    assert (series["key"], series["total"]) == (guest_id, faults)
    assert product.get(f"guests/{guest_id}/flags")["total"] == faults
    ledger = product.get("ledger", guest=guest_id, from_="now-1h", step="10s")["vms"]
    assert {account["vm"]: account["seen"]["total"] for account in ledger} == {
        vm_id: vms[vm_id]["faults"] for vm_id in lives
    }
    (listed,) = product.get("guests", search=UUID)["items"]
    assert (listed["id"], listed["vms_count"], listed["running"], listed["faults"]) == (
        guest_id,
        3,
        0,
        faults,
    )
