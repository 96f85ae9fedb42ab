# SPDX-License-Identifier: Apache-2.0
"""Many short VMs of one process: each is counted as itself, though their memory is used again."""

import subprocess
import sys

import pytest

from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel

VMS = 100

# Prime steps, so that no two sums agree by accident.
PROGRAM = f"""
import os
from demo.exact import ExactGuest, Order
counts = []
for number in range({VMS}):
    with ExactGuest(Order(write=101 + 7 * number, vcpus=1 + number % 2)) as guest:
        extra = guest.follow("many").extra_faults
    counts.append(101 + 7 * number + extra.read + extra.write + extra.execute)
print(os.getpid(), *counts)
"""


def test_a_hundred_vms_of_one_process_are_counted_exactly(product: Product) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True
    )
    pid, *expected = map(int, done.stdout.split())

    def counted() -> list[int] | None:
        counts = [vm["faults"] for vm in product.get("vms", pid=pid, limit=500)["items"]]
        return counts if sum(counts) >= sum(expected) else None

    assert sorted(wait_for(counted, SEEN_S, "every VM is shown")) == expected
