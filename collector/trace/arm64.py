# SPDX-License-Identifier: Apache-2.0
"""arm64: the texts of the events that show faults.

``kvm_guest_fault`` is the fault, with ESR_EL2, FAR_EL2, the IPA and the PC; no event shows its outcome.
``kvm_nested_eret`` and ``kvm_inject_nested_exception`` say when a guest of the guest begins to run and when
it ends: the guest's hypervisor runs at (virtual) EL2, its host under HCR_EL2.TGE, and else its guest does.
Source: Linux 6.18 arch/arm64/kvm/trace_arm.h. Up to 5.15 it prints the low 32 bits of ESR_EL2 only.
"""

import re
from collections.abc import Mapping

from collector.trace.errors import LineError
from collector.trace.lines import Line
from collector.trace.seen import Counted, Handler, Thread, UserspaceExits, close_fault
from faultmodel.arch.arm64 import Arm64Exit, Arm64Fault

# The kernel's "%#llx" prints a zero without "0x".
_HEX = "(?:0x)?([0-9a-f]{1,16})"
_GUEST_FAULT = re.compile(rf"ipa {_HEX}, hsr {_HEX}, hxfar {_HEX}, pc {_HEX}").fullmatch
_ERET = re.compile(
    r"elr_el2: 0x[0-9a-f]+ spsr_el2: 0x[0-9a-f]+ \(M: (\w+)\) hcr_el2: (?:0x)?([0-9a-f]{1,16})"
).fullmatch
_TGE = 1 << 27


class Arm64Reader:
    """Reads arm64 events."""

    def __init__(self, offset_ns: int) -> None:
        """:param offset_ns: what to add to the recording's times for UTC"""
        self._offset_ns = offset_ns
        self.handlers: Mapping[str, Handler] = {
            "kvm_guest_fault": self._guest_fault,
            "kvm_entry": close_fault,
            "kvm_nested_eret": self._eret,
            "kvm_inject_nested_exception": self._exception,
            "kvm_userspace_exit": UserspaceExits(offset_ns, Arm64Exit, ("esr_el2", "far", "ipa", "pc")).read,
        }

    def _guest_fault(self, thread: Thread, line: Line) -> Counted | None:
        found = _GUEST_FAULT(line.text)
        if found is None:
            raise LineError
        ipa, esr_el2, far, pc = found.groups()
        fault = Arm64Fault(
            time_ns=line.monotonic_ns + self._offset_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=thread.known_vcpu(),
            esr_el2=int(esr_el2, 16),
            far=int(far, 16),
            ipa=int(ipa, 16),
            pc=int(pc, 16),
            nested=thread.nested,
        )
        return thread.begin(Counted(fault, ("faults",), line))

    def _eret(self, thread: Thread, line: Line) -> Counted | None:
        found = _ERET(line.text)
        if found is None:
            raise LineError
        thread.nested = not found[1].startswith("EL2") and not int(found[2], 16) & _TGE
        return None

    def _exception(self, thread: Thread, line: Line) -> Counted | None:
        thread.nested = False
        return None
