# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks read of a process in /proc."""

import os
import subprocess
import sys

from bench.cost.process import cpu_s, memory
from tests.product import wait_for

MIB = 1 << 20


def test_memory_of_no_file_is_anonymous() -> None:
    before = memory(os.getpid())
    taken = b"x" * (64 * MIB)
    after = memory(os.getpid())
    assert after.anonymous - before.anonymous >= 60 * MIB
    assert after.resident >= after.anonymous
    assert len(taken) == 64 * MIB


def test_the_cpu_time_of_a_child_counts_once_it_has_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    before = cpu_s(os.getpid())
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert wait_for(lambda: cpu_s(os.getpid()) - before >= 0.15 or None, 5, "its CPU time is counted")
