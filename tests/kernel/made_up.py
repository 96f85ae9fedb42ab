# SPDX-License-Identifier: Apache-2.0
"""Programs that run on events that are made up: those of a kernel or processor that this host does not have.

No program is attached. This thread is made the thread of a vCPU which is inside KVM_RUN.
"""

import re
import shutil
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.counting.reader import Reader
from collector.counting.stall_differences import Stalls
from collector.probe import compiled, syscall
from collector.probe.compiler_process import Order, Terms
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import CONCERNS, LAYOUT_MAP, Repeats
from collector.probe.loading import load_unattached
from collector.probe.plan import Plan, make_plan
from collector.probe.probes import Probes
from collector.probe.source import make_source
from collector.probe.view import number_at
from faultmodel.outcomes import Outcome

VCPU = 0x1000
"""Where its ``struct kvm_vcpu`` is said to be. Nothing is there, and all of it reads as 0."""
_VM = 0x2000
_INDEX = struct.Struct("=I")
_EXIT_EINTR = (10, -4)

# As much of arch/arm64/include/asm/ptrace.h as the programs read.
_REGISTERS = "struct pt_regs {\n\tu64 regs[31];\n\tu64 sp, pc, pstate, orig_x0;\n\ts32 syscallno;\n};\n"
_X86_REGISTERS = re.compile(r"^struct pt_regs \{\n.*?^\};\n", re.MULTILINE | re.DOTALL)
_X86_ENTRY = re.compile(r"(?<=\(\*btf_trace_kvm_entry\)\()void \*, .*(?=\);)")
_ARM64 = "".join(
    f"typedef void (*btf_trace_{name})(void *, {arguments});\n"
    for name, arguments in {
        "kvm_guest_fault": "long unsigned int, long unsigned int, long unsigned int, long long unsigned int",
        "kvm_access_fault": "long unsigned int",
        "kvm_mmio_nisv": "long unsigned int, long unsigned int, long unsigned int, long unsigned int",
        "kvm_inject_nested_exception": "struct kvm_vcpu *, u64, int",
    }.items()
)


class MadeUp:
    """One counting, of one vCPU."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._table = syscall.open_map(probes.handles.maps["slots"])
        self._slot = compiled.read(syscall.open_map(probes.handles.maps[LAYOUT_MAP])).value("slots")
        self._place = threading.get_native_id() % self._table.max_entries
        self._reader = Reader(probes)
        self.set(tid=threading.get_native_id(), vcpu=VCPU, running=1, place=self._place, vcpu_id=3, kvm=_VM)
        self.set(generation=probes.own_generation())

    def set(self, **numbers: int) -> None:
        """Set fields of the vCPU's counts."""
        key = _INDEX.pack(self._place)
        value = bytearray(syscall.lookup(self._table, key) or b"")
        for name, number in numbers.items():
            form, offset = number_at(self._slot, name)
            form.pack_into(value, offset, number)
        syscall.update(self._table, key, bytes(value))

    def begin_anew(self) -> None:
        """Forget the fault under way and the one before, and what has ended; allow faults to be timed."""
        self.set(is_open=0, noted=0, timed_left=4096, entry_unseen=0)
        self.stalls()

    def program(self, tracepoint: str) -> int:
        """Return the file descriptor of an event's program on the raw side."""
        return self._probes.handles.programs[tracepoint]

    def happens(self, tracepoint: str, *arguments: int) -> None:
        """Have that program run."""
        numbers = (number % 2**64 for number in arguments)
        syscall.run(self.program(tracepoint), struct.pack(f"={len(arguments)}Q", *numbers))

    def enter(self) -> None:
        """The guest goes on."""
        self.happens("kvm_entry", VCPU, 0)

    def enter_unseen(self) -> None:
        """The guest goes on while the program on kvm_entry is shed, and exits, as KVM's own count shows."""
        self.set(kvm_exits=1)

    def leave(self, reason: int, result: int = 0) -> None:
        """KVM_RUN returns, and is called again."""
        self.happens("kvm_userspace_exit", reason, result)
        self.set(running=1)

    def interrupt(self) -> None:
        """A signal has KVM_RUN return, and it is called again."""
        self.leave(*_EXIT_EINTR)

    def stalls(self) -> Stalls:
        """Return what has ended since the last time."""
        found = self._reader.read().stalls
        assert found is not None
        return found

    def repeats(self) -> Repeats | None:
        """Return its faults on the same page again and again; None where there are not many."""
        found = next(iter(self._reader.read().repeating.values()), None)
        return None if found is None else found.repeats

    def ended(self) -> Counter[Outcome]:
        """Return how many ended since the last time, by outcome."""
        outcomes = Counter[Outcome]()
        for key, values in self.stalls().counts.items():
            outcomes[key.outcome] += sum(values[:4])
        return outcomes


def headers_of_arm64(headers_cache: Path, folder: Path) -> tuple[Path, Plan]:
    """Return this kernel's types with arm64's registers put in, and the plan for its tracepoints.

    :param folder: where they are put, which is not there yet
    """
    shutil.copytree(ensure_headers(headers_cache), folder)
    types = folder / "include" / "vmlinux.h"
    vmlinux, replaced = _X86_REGISTERS.subn(_REGISTERS, types.read_text())
    assert replaced == 1
    types.write_text(vmlinux)
    shapes, replaced = _X86_ENTRY.subn("void *, long unsigned int", vmlinux)
    assert replaced == 1
    return folder, make_plan(shapes + _ARM64, "aarch64")


def plan_of_svm(headers_cache: Path, folder: Path) -> tuple[Path, Plan]:
    """Return this kernel's types, and the plan as if KVM used SVM with nested paging.

    :param folder: as ``/sys/module``, to be filled
    """
    headers = ensure_headers(headers_cache)
    parameters = folder / "kvm_amd" / "parameters"
    parameters.mkdir(parents=True)
    (parameters / "npt").write_text("Y")
    return headers, make_plan(read_facts(headers), "x86_64", folder)


@contextmanager
def made_up(headers: Path, plan: Plan) -> Iterator[MadeUp]:
    """Load a plan's programs, and have them count."""
    # The kernel runs no program on request whose arguments have types.
    with loaded(headers, plan, is_typed=False) as probes:
        probes.begin(make_source(plan))
        yield MadeUp(probes)


@contextmanager
def loaded(headers: Path, plan: Plan, *, is_typed: bool) -> Iterator[Probes]:
    """Load a plan's programs. :param is_typed: so that the verifier knows the types of their arguments"""
    source = make_source(plan)
    maps = (LAYOUT_MAP, *(name for names in CONCERNS.values() for name in names))
    order = Order(source.text, source.flags, str(headers), plan.attach, maps, is_typed=is_typed)
    with Probes(load_unattached(order, {}, cache=None, terms=Terms())) as probes:
        yield probes
