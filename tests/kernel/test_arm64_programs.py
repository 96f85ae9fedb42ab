# SPDX-License-Identifier: Apache-2.0
"""arm64's programs compile and pass the verifier on any host, with arm64's registers put in."""

from pathlib import Path

import pytest

from collector.errors import ProbeError
from collector.probe.handles import PERF
from collector.probe.loading import load
from collector.probe.sides import Sides
from collector.probe.source import make_source
from tests.kernel.made_up import headers_of_arm64

pytestmark = pytest.mark.kernel

ATTACHED = (
    "kvm:kvm_guest_fault",
    "sched:sched_switch",
    "kvm:kvm_access_fault",
    "kvm:kvm_mmio",
    "kvm:kvm_mmio_nisv",
    "kvm:kvm_inject_nested_exception",
    "kvm:kvm_entry",
    "kvm:kvm_userspace_exit",
)


@pytest.mark.parametrize("sides", [Sides.RAW, Sides.BOTH])
def test_the_programs_load_and_lack_only_the_tracepoint(
    headers_cache: Path, tmp_path: Path, sides: Sides
) -> None:
    headers, plan = headers_of_arm64(headers_cache, tmp_path / "arm64")
    assert plan.attach == ATTACHED
    loaded = load(plan, make_source(plan), headers, sides=sides)
    names = {name.partition(":")[2] for name in ATTACHED}
    assert {name for name in loaded.programs if not name.startswith(PERF)} == names
    with pytest.raises(ProbeError, match="attach to kvm:kvm_guest_fault: No such file"):
        loaded.attach(plan.attach)
    loaded.close()
