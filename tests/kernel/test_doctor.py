# SPDX-License-Identifier: Apache-2.0
"""The doctor on this machine, and on this machine with something taken away."""

import json
import subprocess
import sys

import pytest

from tests.product import TOP

pytestmark = pytest.mark.kernel

DOCTOR = [sys.executable, "-m", "collector", "doctor"]


def test_all_is_there_where_guests_can_be_traced_and_one_side_of_each_tracepoint_is_enough() -> None:
    done = subprocess.run([*DOCTOR, "--json"], cwd=TOP, capture_output=True, text=True, check=False)
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0
    assert findings["attach"]["state"] == "ok"
    assert findings["kvm:kvm_userspace_exit"]["state"] == "ok"
    assert findings["sides"]["state"] == "ok"


def test_missing_capabilities_have_their_own_exit_code_and_a_remedy() -> None:
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *DOCTOR]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 15
    assert "BPF and PERFMON not held" in done.stdout
    assert "CAP_BPF and CAP_PERFMON" in done.stdout
