# SPDX-License-Identifier: Apache-2.0
"""riscv: the texts of the events that show faults.

There is no event for a fault: ``kvm_exit`` with the cause of a guest-page fault is one, and no event shows
its outcome. Source: Linux 6.12 arch/riscv/kvm/trace.h; RISC-V privileged architecture, hypervisor extension,
"Trap Cause Codes". ``kvm_entry`` prints a PC of "0x016" and digits, a slip of its format; it is not read.
"""

import re
from collections.abc import Mapping

from collector.trace.errors import LineError
from collector.trace.lines import Line
from collector.trace.seen import Counted, Handler, Thread, UserspaceExits, close_fault
from faultmodel.arch.riscv import RiscvExit, RiscvFault

_GUEST_PAGE_FAULTS = (20, 21, 23)
"""Instruction, load and store/AMO guest-page fault."""
_HEX = "0x([0-9a-f]{1,16})"
# libtraceevent looks for x86's fields in every kvm_exit, says that it found none, and prints the event.
_EXIT = re.compile(
    f"(?:<CANT FIND FIELD exit_reason>)?SEPC:{_HEX}, SCAUSE:{_HEX}, STVAL:{_HEX}, HTVAL:{_HEX}, HTINST:{_HEX}"
).fullmatch


class RiscvReader:
    """Reads riscv events."""

    def __init__(self, offset_ns: int) -> None:
        """:param offset_ns: what to add to the recording's times for UTC"""
        self._offset_ns = offset_ns
        hardware = ("scause", "stval", "htval", "htinst", "sepc")
        self.handlers: Mapping[str, Handler] = {
            "kvm_exit": self._exit,
            "kvm_entry": close_fault,
            "kvm_userspace_exit": UserspaceExits(offset_ns, RiscvExit, hardware).read,
        }

    def _exit(self, thread: Thread, line: Line) -> Counted | None:
        found = _EXIT(line.text)
        if found is None:
            raise LineError
        sepc, scause, stval, htval, htinst = (int(word, 16) for word in found.groups())
        if scause not in _GUEST_PAGE_FAULTS:
            return thread.close()
        fault = RiscvFault(
            time_ns=line.monotonic_ns + self._offset_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=thread.known_vcpu(),
            scause=scause,
            stval=stval,
            htval=htval,
            htinst=htinst,
            sepc=sepc,
        )
        return thread.begin(Counted(fault, ("faults",), line))
