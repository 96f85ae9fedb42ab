# SPDX-License-Identifier: Apache-2.0
"""What a host offers to the collector, point by point, and what to do about what is missing."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from collector.counting.pins import Pins
from collector.errors import ProbeError
from collector.own_command import host_command
from collector.probe.compiler import bcc_version
from collector.probe.handles import Handles
from collector.probe.headers import BTF_DIRECTORY, ensure_headers, find_bpftool, read_facts
from collector.probe.loading import load
from collector.probe.plan import TRACEPOINTS, Plan, find_flavour, is_idle, make_plan
from collector.probe.source import make_source
from collector.vms.identity.process import host_proc
from collector.vms.identity.uevents import KvmEvents
from faultmodel.kinds import CheckState as State
from faultmodel.record import DETAIL_LENGTH, Check
from faultmodel.text import cut


class Cause(IntEnum):
    """The doctor's exit code: the first thing that is missing, without which nothing is counted."""

    NOTHING = 0
    ARCHITECTURE = 10
    KVM = 11
    BTF = 12
    TOOLS = 13
    LOCKDOWN = 14
    CAPABILITIES = 15
    TRACEPOINTS = 16
    ATTACH = 17
    VENDOR = 18
    DATA = 19


@dataclass(frozen=True, slots=True)
class Finding:
    """One point: what was found, and what to do where it is not ok."""

    name: str
    state: State
    found: str
    remedy: str = ""
    cause: Cause = Cause.NOTHING

    def check(self) -> Check:
        """Return it as a batch carries it."""
        found, remedy = (cut(text, DETAIL_LENGTH) for text in (self.found, self.remedy))
        return Check(name=self.name, state=self.state, found=found, remedy=remedy)


_LOAD = "modprobe kvm_intel, or kvm_amd"
_CAPABILITIES = {"BPF": 39, "PERFMON": 38}
_SYS_ADMIN = 21
_SYS_PTRACE = 19


def examine(cache: Path, bpffs: Path, *, attach: bool) -> Iterator[Finding]:
    """Yield the findings, in the order in which one needs the other.

    :param cache: where the header tree may be kept
    :param bpffs: where programs and maps are to be pinned
    :param attach: also compile, attach and detach the programs, for real
    """
    for check in (
        _architecture,
        _kvm,
        _flavour,
        _btf,
        _bpftool,
        _bcc,
        _lockdown,
        _tracefs,
        capabilities,
        _naming,
    ):
        yield check()
    yield _uevents()
    yield _pins(cache, bpffs)
    yield from _tracepoints(cache, attach=attach)


def first_missing(cache: Path, bpffs: Path) -> Finding | None:
    """Return what keeps this host from tracing; None where nothing is known to."""
    for finding in examine(cache, bpffs, attach=False):
        if finding.state is State.MISSING:
            return finding
    return None


def _architecture() -> Finding:
    machine = platform.machine()
    if machine in TRACEPOINTS:
        return Finding("architecture", State.OK, machine)
    return Finding(
        "architecture",
        State.MISSING,
        f"{machine} has no probe",
        f"live tracing works on {', '.join(TRACEPOINTS)}; recorded traces can be imported",
        Cause.ARCHITECTURE,
    )


def _kvm() -> Finding:
    if not Path("/sys/module/kvm").is_dir():
        return Finding("kvm", State.MISSING, "KVM is not loaded", host_command(_LOAD), Cause.KVM)
    if not Path("/dev/kvm").exists():
        # Guests of other containers are seen all the same.
        return Finding("kvm", State.OK, f"loaded, kernel {platform.release()}; /dev/kvm is not visible here")
    return Finding("kvm", State.OK, f"loaded, kernel {platform.release()}")


def _flavour() -> Finding:
    if is_idle():
        return Finding(
            "flavour",
            State.MISSING,
            "KVM is loaded, and no vendor's module",
            f"{host_command(_LOAD)}; a running collector attaches by itself",
            Cause.VENDOR,
        )
    flavour = find_flavour(platform.machine())
    if flavour.name == "unknown":
        return Finding("flavour", State.LACKING, "no vendor module is loaded", host_command(_LOAD))
    counted = "at kvm_page_fault" if flavour.fires_page_fault else "when KVM maps its page"
    if flavour.name == "arm64":
        counted = "at kvm_guest_fault"
    return Finding(
        "flavour",
        State.OK,
        f"{flavour.name}: a fault is counted {counted}, its word has the format {flavour.page_fault_format}",
    )


def _btf() -> Finding:
    if not (BTF_DIRECTORY / "vmlinux").exists():
        return Finding(
            "btf",
            State.MISSING,
            f"{BTF_DIRECTORY}/vmlinux is missing",
            "boot a kernel with CONFIG_DEBUG_INFO_BTF=y",
            Cause.BTF,
        )
    module = " and KVM's module" if (BTF_DIRECTORY / "kvm").exists() else ""
    return Finding("btf", State.OK, f"of the kernel{module}")


def _bpftool() -> Finding:
    if find_bpftool():
        return Finding("bpftool", State.OK, "installed")
    return Finding("bpftool", State.MISSING, "not installed", "install the package bpftool", Cause.TOOLS)


def _bcc() -> Finding:
    try:
        return Finding("bcc", State.OK, f"version {bcc_version()}")
    except ProbeError as exc:
        return Finding("bcc", State.MISSING, exc.found, exc.remedy, Cause.TOOLS)


def _lockdown() -> Finding:
    try:
        text = Path("/sys/kernel/security/lockdown").read_text()
    except OSError:
        return Finding(
            "lockdown", State.OK, "not shown by this kernel; if it forbids tracing, attaching says so"
        )
    mode = text[text.find("[") + 1 : text.find("]")]
    if mode == "confidentiality":
        return Finding(
            "lockdown",
            State.MISSING,
            "confidentiality: BPF may not read kernel memory",
            "boot with lockdown=integrity",
            Cause.LOCKDOWN,
        )
    return Finding("lockdown", State.OK, mode)


def _tracefs() -> Finding:
    try:
        if Path("/sys/kernel/tracing/events/kvm").is_dir():
            return Finding("tracefs", State.OK, "mounted")
    except PermissionError:
        return Finding("tracefs", State.OK, 'closed to this user; needed only where "sides" says so')
    return Finding("tracefs", State.OK, 'not mounted; needed only where "sides" says so')


def capabilities() -> Finding:
    """Return whether this process may load programs."""
    held = _effective()
    if held >> _SYS_ADMIN & 1:
        return Finding("capabilities", State.OK, "SYS_ADMIN")
    lacking = [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    if lacking:
        return Finding(
            "capabilities",
            State.MISSING,
            f"{' and '.join(lacking)} not held",
            "run as root, or with CAP_BPF and CAP_PERFMON",
            Cause.CAPABILITIES,
        )
    return Finding("capabilities", State.OK, "BPF, PERFMON")


def _effective() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _naming() -> Finding:
    if host_proc() is None:
        return Finding(
            "names",
            State.LACKING,
            "not in the host's pid namespace: VMs are named after their process only",
            "start the container with docker run --pid=host (compose: pid: host; pod: hostPID: true)",
        )
    return Finding("names", State.OK, "command lines and cgroups of VMMs can be read")


def _uevents() -> Finding:
    with KvmEvents() as events:
        if events.unavailable:
            return Finding(
                "ends",
                State.LACKING,
                f"{events.unavailable}: a VM is seen to end when its process does",
                "start the container with docker run --network=host (compose: network_mode: host; pod:"
                " hostNetwork: true)",
            )
    return Finding("ends", State.OK, "KVM's announcements of VMs made and gone are received")


def _pins(cache: Path, bpffs: Path) -> Finding:
    refused = Pins(cache / "pins", bpffs).why_not()
    if refused:
        found = f"{refused.found}: counting ends with a collector that is killed"
        return Finding("pins", State.LACKING, found, refused.remedy)
    return Finding("pins", State.OK, f"in {bpffs}: counting outlives the collector")


_WITHOUT = {
    "sched_switch": "what vCPUs wait for in faults is not shown",
    "kvm_entry": "how long faults stall vCPUs is not shown",
    "kvm_mmu_pagetable_walk": "how long faults stall vCPUs is not shown",
}
"""What is lost without a tracepoint, where it is something else than the outcome of faults."""


def _tracepoints(cache: Path, *, attach: bool) -> Iterator[Finding]:
    try:
        headers = ensure_headers(cache)
        plan = make_plan(read_facts(headers))
    except ProbeError as exc:
        yield Finding("tracepoints", State.MISSING, str(exc), "see above", Cause.TRACEPOINTS)
        return
    for tracepoint in plan.attach:
        yield Finding(tracepoint, State.OK, "present")
    for gap in plan.absent:
        name = gap.tracepoint.partition(":")[2]
        lost = _WITHOUT.get(name, "how a fault ended is not shown")
        yield Finding(gap.tracepoint, State.LACKING, gap.reason, f"{lost} on this kernel")
    if plan.word_is_cut:
        yield Finding(
            "word",
            State.LACKING,
            "this kernel passes the lower 32 bits of the word only: guest_final and guest_page are not shown",
            "use Linux 6.1 or later",
        )
    if attach:
        yield from _attach(plan, headers)


def _attach(plan: Plan, headers: Path) -> Iterator[Finding]:
    try:
        loaded = load(plan, make_source(plan), headers)
        try:
            loaded.attach(plan.attach).detach()
        finally:
            loaded.close()
    except ProbeError as exc:
        yield Finding("attach", State.MISSING, str(exc), "see the kernel's message above", Cause.ATTACH)
        return
    number = len(loaded.programs)
    yield Finding("attach", State.OK, f"{number} programs were compiled, attached and detached")
    yield _sides(loaded)


def _sides(loaded: Handles) -> Finding:
    """Whether the kernel may skip programs (sides.bpf.h)."""
    if loaded.lacking:
        remedy = (
            "mount -t tracefs nodev /sys/kernel/tracing, readable for the collector; where perf events are"
            f" refused: {host_command('sysctl kernel.perf_event_paranoid=2')}"
        )
        return Finding("sides", State.LACKING, loaded.lacking, remedy)
    if loaded.has_both_sides:
        return Finding("sides", State.OK, "programs can be preempted: both sides of each tracepoint are used")
    return Finding("sides", State.OK, "programs run to their end: one side of each tracepoint is enough")
