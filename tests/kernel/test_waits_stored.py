# SPDX-License-Identifier: Apache-2.0
"""From the kernel to the API: what a guest waits for is named by a collector that may do little else."""

import os
from typing import Any

import pytest

from demo import memory
from demo.guest import Guest
from demo.layout import Layout
from demo.machine import Op
from tests.kernel.slow_handler import SlowHandler
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel

PAGES, LATE_S = 12, 0.05


def test_a_late_handler_is_what_the_api_says_the_guest_waited_for(own_product: Product) -> None:
    def is_named() -> bool | None:
        (host,) = own_product.get("status")["hosts"]
        return any(check["name"] == "stacks" and check["state"] == "ok" for check in host["checks"]) or None

    (described,) = own_product.get("status")["hosts"]
    if described["flavour"] != "pvm":
        pytest.skip(f"waits are measured on PVM so far, not on {described['flavour']}")
    wait_for(is_named, SEEN_S, "the collector names the kernel's functions")
    layout = Layout()
    region = layout.add(memory.anonymous(PAGES))
    host = region.require_memory()
    with Guest(layout) as guest:
        extra = guest.warm_up()
        faults = extra.read + extra.write + extra.execute + PAGES
        with SlowHandler(host, (LATE_S,)) as handler:
            guest.touch(region.touch(Op.WRITE, PAGES))
        vm = own_product.vm_with(os.getpid(), faults=faults)["id"]

        def waited() -> Any:
            found = own_product.get("waits", vm=vm)
            return found if found["items"] and found["items"][0]["count"] >= PAGES else None

        found = wait_for(waited, SEEN_S, "waits are stored")
        pressure = own_product.get("pressure", vm=vm)
    (item,) = found["items"]
    handled_s = sum(handler.spans_ns) / 1e9
    assert item["waits_for"] == "userfaultfd"
    assert 0.98 * handled_s <= item["seconds"] == found["blocked_s"]
    (of_vm,) = pressure["items"]
    # One vCPU: whenever it stands still, all do.
    assert of_vm["some"]["total_us"] == of_vm["full"]["total_us"] >= 0.98 * handled_s * 1e6
    assert pressure["hosts"][0]["some"]["total_us"] >= of_vm["some"]["total_us"]
    assert pressure["measured_by"][0]["blocked"]
