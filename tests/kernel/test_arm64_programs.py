# SPDX-License-Identifier: Apache-2.0
"""arm64's programs compile and pass the verifier on any host, with arm64's registers put in."""

import re
import shutil
from pathlib import Path

import pytest

from collector.errors import ProbeError
from collector.probe.headers import ensure_headers
from collector.probe.loading import load
from collector.probe.plan import make_plan
from collector.probe.source import make_source

pytestmark = pytest.mark.kernel

# As much of arch/arm64/include/asm/ptrace.h as the programs read.
REGISTERS = "struct pt_regs {\n\tu64 regs[31];\n\tu64 sp, pc, pstate, orig_x0;\n\ts32 syscallno;\n};\n"
GUEST_FAULT = (
    "typedef void (*btf_trace_kvm_guest_fault)(void *, long unsigned int, long unsigned int, "
    "long unsigned int, long long unsigned int);\n"
)


def test_the_programs_load_and_lack_only_the_tracepoint(headers_cache: Path, tmp_path: Path) -> None:
    headers = tmp_path / "arm64"
    shutil.copytree(ensure_headers(headers_cache), headers)
    types = headers / "include" / "vmlinux.h"
    registers = re.compile(r"^struct pt_regs \{\n.*?^\};\n", re.MULTILINE | re.DOTALL)
    vmlinux, replaced = registers.subn(REGISTERS, types.read_text())
    assert replaced == 1
    types.write_text(vmlinux)
    plan = make_plan(vmlinux + GUEST_FAULT, "aarch64")
    assert set(plan.attach) == {"kvm:kvm_guest_fault", "kvm:kvm_userspace_exit"}
    loaded = load(plan, make_source(plan), headers)
    assert set(loaded.programs) == {"kvm_guest_fault", "kvm_userspace_exit"}
    with pytest.raises(ProbeError, match="attach to kvm:kvm_guest_fault: No such file"):
        loaded.attach(plan.attach)
    loaded.close()
