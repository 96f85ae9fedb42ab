# SPDX-License-Identifier: Apache-2.0
"""QEMU's own trace log: ``-trace kvm_run_exit``, and ``kvm_memory_fault`` beside it.

It has each return from KVM_RUN with its reason and nothing of the faults. QEMU traces it only where KVM_RUN
succeeded or reported a memory fault, so that reason 39 came with EFAULT. Its other events are passed over.
Source: QEMU 10 accel/kvm/kvm-all.c, kvm_cpu_exec(), and accel/kvm/trace-events.
"""

import re
from collections.abc import Mapping

from collector.trace.errors import LineError
from collector.trace.lines import Line
from collector.trace.seen import ExitSeen, Handler, Thread
from faultmodel.record import EFAULT, KVM_EXIT_MEMORY_FAULT, U32_MAX, ExitKind

_RUN_EXIT = re.compile(r"cpu_index (\d{1,9}), reason (\d{1,10})").fullmatch
_MEMORY_FAULT = re.compile(
    r"start 0x([0-9a-f]{1,16}) size 0x([0-9a-f]{1,16}) flags 0x([0-9a-f]{1,16})"
).fullmatch


class QemuExits:
    """Reads the log's events, of any architecture."""

    def __init__(self, offset_ns: int, exit_type: type, *, memory_faults_shown: bool) -> None:
        """:param memory_faults_shown: the log has ``kvm_memory_fault``, which follows its ``kvm_run_exit``"""
        self._offset_ns = offset_ns
        self._exit_type = exit_type
        self._memory_faults_shown = memory_faults_shown
        self.handlers: Mapping[str, Handler] = {
            "kvm_run_exit": self._run_exit,
            "kvm_memory_fault": self._memory_fault,
        }

    def _run_exit(self, thread: Thread, line: Line) -> ExitSeen | None:
        found = _RUN_EXIT(line.text)
        if found is None or int(found[2]) > U32_MAX:
            raise LineError
        thread.vcpu, reason = int(found[1]), int(found[2])
        if reason != KVM_EXIT_MEMORY_FAULT:
            time_ns = line.monotonic_ns + self._offset_ns
            return ExitSeen(line, time_ns, thread.vm, thread.vcpu, reason, 0, None)
        return None if self._memory_faults_shown else self._seen(thread, line)

    def _memory_fault(self, thread: Thread, line: Line) -> ExitSeen:
        found = _MEMORY_FAULT(line.text)
        if found is None:
            raise LineError
        gpa, size, flags = (int(word, 16) for word in found.groups())
        return self._seen(thread, line, gpa=gpa, size=size, flags=flags)

    def _seen(self, thread: Thread, line: Line, **fields: int) -> ExitSeen:
        time_ns, vcpu = line.monotonic_ns + self._offset_ns, thread.known_vcpu()
        record = self._exit_type(
            time_ns=time_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=vcpu,
            kind=ExitKind.MEMORY_FAULT,
            reason=KVM_EXIT_MEMORY_FAULT,
            errno=EFAULT,
            **fields,
        )
        return ExitSeen(line, time_ns, thread.vm, vcpu, KVM_EXIT_MEMORY_FAULT, EFAULT, record)
