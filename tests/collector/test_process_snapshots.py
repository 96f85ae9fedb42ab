# SPDX-License-Identifier: Apache-2.0
"""A VMM that ends before anybody reads the counters is known by its command line all the same."""

import subprocess
import sys
import time

import pytest

from collector.vms.identity.process import host_proc
from collector.vms.identity.process_snapshots import ProcessSnapshots

pytestmark = pytest.mark.kernel

# Makes a VM in a thread that is not the process's first, and lives for a tenth of a second.
VMM = """
import fcntl, os, threading, time
def make():
    fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), 0xAE01, 0)
    time.sleep(0.1)
thread = threading.Thread(target=make)
thread.start(); thread.join()
print(os.getpid(), open("/proc/self/stat").read().rpartition(")")[2].split()[19])
"""


def test_a_vmm_that_is_gone_is_recalled() -> None:
    with ProcessSnapshots(host_proc()) as snapshots:
        command = [sys.executable, "-c", VMM, "--name", "short-lived"]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        pid, ticks = map(int, said.split())
        deadline = time.monotonic() + 5
        while (met := snapshots.snapshot_of(pid, ticks)) is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert met is not None
    assert met.command[-1] == "short-lived"


def test_a_process_with_another_start_is_somebody_else() -> None:
    with ProcessSnapshots(host_proc()) as snapshots:
        assert snapshots.snapshot_of(1, 0) is None
