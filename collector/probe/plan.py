# SPDX-License-Identifier: Apache-2.0
"""Decides what to attach to this kernel and how to compile it.

The facts come from BTF and /sys/module, never from the kernel's version.
"""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ProbeError

# In the order in which they are attached: what counts a fault before what shows its outcome.
TRACEPOINTS: Mapping[str, tuple[str, ...]] = {
    "x86_64": (
        "kvm:kvm_page_fault",
        "kvmmmu:kvm_mmu_pagetable_walk",
        "kvmmmu:kvm_mmu_walker_error",
        "sched:sched_switch",
        "kvmmmu:kvm_mmu_spte_requested",
        "kvmmmu:fast_page_fault",
        "kvmmmu:handle_mmio_page_fault",
        "kvm:kvm_entry",
        "kvm:kvm_userspace_exit",
    ),
    "aarch64": (
        "kvm:kvm_guest_fault",
        "sched:sched_switch",
        "kvm:kvm_access_fault",
        "kvm:kvm_mmio",
        "kvm:kvm_mmio_nisv",
        "kvm:kvm_inject_nested_exception",
        "kvm:kvm_entry",
        "kvm:kvm_userspace_exit",
    ),
}
"""By ``uname -m``."""

_COUNTS_FAULTS = ("kvm_page_fault", "kvm_mmu_spte_requested", "kvm_guest_fault")
_PAGE_FAULT = re.compile(r"(struct kvm_vcpu \*, )?(u64|long unsigned int), (u64|unsigned int)")
"""Arguments of kvm_page_fault: vCPU (from 6.1 on), address, error code."""

_WALK = "kvm_mmu_pagetable_walk"
_WALKS = (_WALK, "kvm_mmu_walker_error")
"""Show where a fault begins, where its first event is a walk of the guest's page tables."""
_ENTRY = "kvm_entry"
"""Shows where a fault ends, elsewhere."""
_NOT_IN_EARLIER = ("kvm_mmio_nisv", "kvm_inject_nested_exception")
"""arm64: kernels that lack these do not give up such accesses in this way, and run no guests of guests."""
_STALLS = (*_WALKS, _ENTRY, "sched_switch", "kvm_access_fault", "kvm_mmio", *_NOT_IN_EARLIER)
_SHAPES: Mapping[str, str] = {
    "kvm_mmu_pagetable_walk": r"(u64|long unsigned int), (u32|unsigned int)",
    "kvm_mmu_walker_error": r"u32|unsigned int",
    "kvm_entry": r"struct kvm_vcpu \*(, bool)?|long unsigned int",
    "sched_switch": r"bool, struct task_struct \*, struct task_struct \*, unsigned int",
}
"""Of those, the arguments that the programs can read."""
_OUTCOMES = ("kvm_mmu_spte_requested", "fast_page_fault", "handle_mmio_page_fault")
_SHOWN_BY: Mapping[str, str] = {
    "HAVE_VCPU_REGS_RIP": r"^\t*VCPU_REGS_RIP = ",
    "HAVE_MEMORY_FAULT": r"^\t*\} memory_fault;",
    "HAVE_STAT_GUEST_MODE": r"^\tu64 guest_mode;",
    "HAVE_PF_TAKEN": r"^\tu64 pf_taken;",
    "HAVE_STAT_BLOCKING": r"^\tu64 blocking;",
    "HAVE_GUEST_STATE_PROTECTED": r"^\tbool guest_state_protected;",
    "HAVE_NESTED_MMUS": r"^\tstruct kvm_s2_mmu \*+nested_mmus;",
    "HAVE_MUTEX_OWNER": r"^struct mutex \{\n\tatomic_long_t owner;",
    "HAVE_RT_MUTEX": r"^struct mutex \{\n\tstruct rt_mutex_base rtmutex;",
    "HAVE_MEMSLOT_HASH": r"^\tstruct hlist_head id_hash\[",
    "HAVE_LAST_USED_SLOT": r"^\tu64 last_used_slot_gen;",
    "HAVE_GUEST_MEMFD": r"^\t\} gmem;",
    "HAVE_SHMEM_LIMIT": r"^\tstruct percpu_counter used_blocks;",
    "HAVE_PAGE_STATS": r"^\t*atomic64_t pages_4k;",
    "HAVE_INVALIDATE_SEQ": r"^\t(long unsigned int|unsigned long) mmu_invalidate_seq;",
    "HAVE_USERFAULTFD": r"^\tstruct userfaultfd_ctx \*ctx;",
    "HAVE_MIGRATION_DISABLED": r"^\t(short unsigned int|unsigned short) migration_disabled;",
}
"""By macro, the pattern in the kernel's types that defines it (``headers.plan_facts`` keeps such lines)."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """Which part of KVM runs guests here.

    ``page_fault_format``: the format of ``kvm_page_fault``'s word. ``fires_page_fault``: known to emit that
    tracepoint for every fault; elsewhere the probe finds out. ``has_tdx``: some VMs may be TDX's.
    """

    name: str
    page_fault_format: str
    fires_page_fault: bool
    has_tdx: bool = False

    @property
    def fires_entry(self) -> bool:
        """Whether KVM is known to emit ``kvm_entry`` each time that the guest goes on."""
        return self.fires_page_fault or self.page_fault_format == "esr_el2"


@dataclass(frozen=True, slots=True)
class Absent:
    """A tracepoint that will not be attached, and why."""

    tracepoint: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to attach (``subsystem:name``, in order), what cannot be, and the macros to compile with.

    ``word_is_cut``: of the hardware's word the kernel passes the lower 32 bits only, and it has more.
    """

    flavour: Flavour
    attach: tuple[str, ...]
    absent: tuple[Absent, ...]
    macros: tuple[str, ...]
    word_is_cut: bool = False


def make_plan(vmlinux: str, machine: str | None = None, modules: Path = Path("/sys/module")) -> Plan:
    """Decide what to attach.

    :param vmlinux: the kernel's types as C, or the facts that ``headers`` picks from them
    :param machine: as ``uname -m``
    :raises ProbeError: this kernel shows no guest fault, or the architecture has no probe
    """
    machine = machine or platform.machine()
    tracepoints = TRACEPOINTS.get(machine)
    if tracepoints is None:
        raise ProbeError(
            f"no probe for {machine}: live tracing works on {' and '.join(TRACEPOINTS)}",
            "recorded traces of other architectures can be imported",
        )
    flavour = find_flavour(machine, modules)
    if is_idle(modules):
        raise ProbeError("no vendor's module is loaded", "modprobe kvm_intel or kvm_amd")
    shapes = _shapes(vmlinux)
    attach: list[str] = []
    absent: list[Absent] = []
    for tracepoint in tracepoints:
        name = tracepoint.partition(":")[2]
        if name in (_WALKS if flavour.fires_entry else (_ENTRY,)):
            # Something else shows it first, or better.
            continue
        if name in _NOT_IN_EARLIER and name not in shapes:
            continue
        reason = _why_not(name, shapes, flavour)
        if reason is None:
            attach.append(tracepoint)
        else:
            absent.append(Absent(tracepoint, reason))
    _require(attach)
    # EPT qualifications and #PF error codes have no upper half.
    word_is_cut = flavour.page_fault_format == "npf" and _is_cut(shapes)
    return Plan(
        flavour, tuple(attach), tuple(absent), _macros(machine, attach, shapes, flavour, vmlinux), word_is_cut
    )


def find_flavour(machine: str, modules: Path = Path("/sys/module")) -> Flavour:
    """Return the flavour, by the vendor modules. Those that are built in are listed there, too."""
    if machine != "x86_64":
        return Flavour("arm64", "esr_el2", fires_page_fault=False)
    for name, module, two_dimensional, word in (
        ("vmx", "kvm_intel", "ept", "ept"),
        ("svm", "kvm_amd", "npt", "npf"),
    ):
        parameters = modules / module / "parameters"
        if not parameters.is_dir():
            continue
        if _is_on(parameters / two_dimensional):
            return Flavour(name, word, fires_page_fault=True, has_tdx=_is_on(parameters / "tdx"))
        return Flavour(f"{name}-shadow", "pferr", fires_page_fault=True)
    # PVM, or a vendor module unknown here: #PF error codes are what KVM's common code traces.
    return Flavour("pvm" if (modules / "kvm_pvm").is_dir() else "unknown", "pferr", fires_page_fault=False)


def is_idle(modules: Path = Path("/sys/module")) -> bool:
    """Return whether KVM is a module that no vendor's module uses: no guest can run.

    Nothing is attached then, since that would keep KVM from being unloaded.
    """
    holders = modules / "kvm" / "holders"
    is_loadable = (modules / "kvm" / "refcnt").exists()
    return is_loadable and not (holders.is_dir() and any(holders.iterdir()))


def _is_on(parameter: Path) -> bool:
    try:
        return parameter.read_text().strip() in ("Y", "1")
    except OSError:
        return False


def _shapes(vmlinux: str) -> Mapping[str, str]:
    """The arguments of each tracepoint, as BTF's ``btf_trace_*`` types have them."""
    found = re.findall(r"^typedef void \(\*btf_trace_(\w+)\)\(void \*(?:, )?(.*)\);$", vmlinux, re.MULTILINE)
    # bpftool numbers the structures that a module's BTF has more than once.
    return {name: re.sub(r"___\d+\b", "", arguments) for name, arguments in found}


def _is_cut(shapes: Mapping[str, str]) -> bool:
    """Whether kvm_page_fault passes only 32 bits of the word, as before 6.1."""
    return shapes.get("kvm_page_fault", "").endswith(", unsigned int")


def _why_not(name: str, shapes: Mapping[str, str], flavour: Flavour) -> str | None:
    arguments = shapes.get(name)
    if arguments is None:
        return "this kernel has no such tracepoint"
    if name in ("kvm_mmu_spte_requested", "fast_page_fault") and "struct kvm_page_fault *" not in arguments:
        return f"its arguments ({arguments}) do not carry the fault"
    if name == "kvm_page_fault" and not _PAGE_FAULT.fullmatch(arguments):
        return f"its arguments ({arguments}) are of no known shape"
    if name in _SHAPES and not re.fullmatch(_SHAPES[name], arguments):
        return f"its arguments ({arguments}) are of no known shape"
    if name == "handle_mmio_page_fault" and flavour.page_fault_format == "ept":
        return "cached MMIO is an EPT misconfiguration here, which is no counted fault"
    return _why_no_stalls(name, shapes, flavour) if name in _STALLS else None


def _why_no_stalls(name: str, shapes: Mapping[str, str], flavour: Flavour) -> str | None:
    needed = _ENTRY if flavour.fires_entry else _WALK
    if name == _ENTRY and not shapes.keys() & {"kvm_page_fault", "kvm_guest_fault"}:
        return "no event shows where a fault begins"
    if name != needed and _why_not(needed, shapes, flavour) is not None:
        return f"no event shows where a fault {'ends' if flavour.fires_entry else 'begins'}"
    return None


def _require(attach: list[str]) -> None:
    names = {tracepoint.partition(":")[2] for tracepoint in attach}
    if "kvm_userspace_exit" not in names:
        raise ProbeError(
            "KVM is not in this kernel's BTF", "load kvm_intel or kvm_amd, or use a kernel with KVM"
        )
    if not names & set(_COUNTS_FAULTS):
        raise ProbeError(
            f"this kernel has none of the tracepoints that show guest faults: {', '.join(_COUNTS_FAULTS)}"
        )


def _macros(
    machine: str, attach: list[str], shapes: Mapping[str, str], flavour: Flavour, vmlinux: str
) -> tuple[str, ...]:
    macros = [f"ARCH_{machine.upper()}"]
    macros += [f"WITH_{tracepoint.partition(':')[2].upper()}" for tracepoint in attach]
    if any(f"WITH_{name.upper()}" in macros for name in _OUTCOMES):
        macros.append("WITH_OUTCOMES")
    if {"WITH_KVM_MMU_PAGETABLE_WALK", "WITH_KVM_ENTRY"} & {*macros}:
        macros.append("WITH_STALLS")
    if flavour.has_tdx:
        macros.append("WITH_TDX")
    if shapes.get("kvm_page_fault", "").startswith("struct kvm_vcpu *"):
        macros.append("HAVE_KVM_PAGE_FAULT_VCPU")
    if not _is_cut(shapes):
        macros.append("HAVE_WHOLE_WORD")
    fault = re.search(r"^struct kvm_page_fault \{\n(.*?)^\};", vmlinux, re.MULTILINE | re.DOTALL)
    if fault:
        macros.append("HAVE_KVM_PAGE_FAULT_STRUCT")
        if re.search(r"\bis_private;", fault[1]):
            macros.append("HAVE_IS_PRIVATE")
    macros += [macro for macro, shown in _SHOWN_BY.items() if re.search(shown, vmlinux, re.MULTILINE)]
    return tuple(macros)
