# SPDX-License-Identifier: Apache-2.0
"""Several VMs in one process, at once and one after the other."""

import subprocess
import sys
from uuid import uuid4

import pytest

from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel

_TWO_AT_ONCE = """
import os
from demo.exact import ExactGuest, Order
with ExactGuest(Order(write=307)) as first, ExactGuest(Order(write=601)) as second:
    extras = [guest.follow("two").extra_faults for guest in (first, second)]
print(os.getpid(), *(307 + extra.read + extra.write + extra.execute for extra in extras[:1]),
      *(601 + extra.read + extra.write + extra.execute for extra in extras[1:]))
"""

_ONE_AFTER_THE_OTHER = """
import os
from demo.exact import ExactGuest, Order
counts = []
for faults in (101, 211, 307, 401):
    with ExactGuest(Order(write=faults)) as guest:
        extra = guest.follow("many").extra_faults
    counts.append(faults + extra.read + extra.write + extra.execute)
print(os.getpid(), *counts)
"""


@pytest.mark.parametrize(
    ("program", "guests"),
    [(_TWO_AT_ONCE, {2}), (_ONE_AFTER_THE_OTHER, {1, 2, 3, 4})],
    ids=["at once", "in turn"],
)
def test_vms_of_one_process_are_kept_apart(product: Product, program: str, guests: set[int]) -> None:
    uuid = str(uuid4())
    # What identifies a guest is the process's, so that all of its VMs have it.
    done = subprocess.run(
        ["qemu-system-x86_64", "-c", program, "-name", "several", "-uuid", uuid],
        executable=sys.executable,
        cwd=TOP,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, *expected = map(int, done.stdout.split())

    def all_counted() -> list[int] | None:
        counts = [vm["faults"] for vm in product.get("vms", pid=pid)["items"]]
        return counts if sum(counts) >= sum(expected) else None

    assert sorted(wait_for(all_counted, SEEN_S, "every VM is shown")) == sorted(expected)
    vms = product.get("vms", pid=pid)["items"]
    assert {vm["uuid"] for vm in vms} == {uuid}
    # One that follows another is the same guest's next life where that shows: these are too short.
    assert len({vm["guest"] for vm in vms}) in guests
