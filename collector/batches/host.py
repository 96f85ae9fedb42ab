"""This host as every batch describes it."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from collector import rights
from collector.own_command import NAME, is_in_container
from collector.probe.plan import Plan
from collector.version import version
from collector.vms.identity.process import host_proc
from collector.vms.identity.uevents import KvmEvents
from faultmodel.kinds import HostState, ProbeState
from faultmodel.record import DETAIL_LENGTH, Collector, Host, Probe

_RUNTIMES = frozenset(
    ("containerd-shim", "conmon", "crio", "runc", "crun", "docker-init", "tini", "dumb-init", "catatonit")
)
"""Who starts a container's own process, where the parent can be seen; a comm has 15 bytes."""


@dataclass(frozen=True, slots=True)
class HostView:
    """Makes descriptions of one host."""

    name: str
    boot_id: str
    arch: str
    data_dir: Path

    def waiting(self, reason: str) -> Host:
        """Nothing is attached, and why."""
        return self._host(HostState.WAITING, detail=reason)

    def attached(self, plan: Plan, events: KvmEvents, pins_refused: str, sides_lacking: str = "") -> Host:
        """The plan's programs are in place.

        :param pins_refused: why counting does not outlive the collector; empty where it does
        :param sides_lacking: why the kernel may skip events; empty where it will not
        """
        gaps = [sides_lacking] if sides_lacking else []
        if pins_refused:
            gaps.append(f"counting ends with the collector: {pins_refused}")
        if host_proc() is None:
            gaps.append("VMs are named after their process only: not in the host's pid namespace")
        return self._host(
            HostState.ATTACHED,
            flavour=plan.flavour.name,
            detail="; ".join(gaps),
            probes=_probes(plan, events, pins_refused),
        )

    def _host(
        self, state: HostState, *, flavour: str = "", detail: str = "", probes: tuple[Probe, ...] = ()
    ) -> Host:
        return Host(
            name=self.name,
            boot_id=self.boot_id,
            arch=self.arch,
            state=state,
            kernel=platform.release(),
            flavour=flavour,
            detail=detail[:DETAIL_LENGTH],
            collector_version=version(),
            probes=probes,
            collector=_collector(self.data_dir),
        )


_WORD = "kvm:kvm_page_fault"
_WORD_IS_CUT = "the kernel passes the lower 32 bits of the word only"


def _collector(data_dir: Path) -> Collector:
    program = Path(sys.executable).with_name(NAME)
    return Collector(
        program=str(program) if os.access(program, os.X_OK) else "",
        data_dir=str(data_dir.absolute()),
        in_container=is_in_container() and _is_containers_own(),
        capabilities=rights.held(),
    )


def _is_containers_own() -> bool:
    """Tell whether the container was started for the collector, rather than the collector from a shell in it.

    Who typed it there is in the container, and can type another command there.
    """
    parent = os.getppid()
    if not parent:
        return True
    try:
        comm = Path(f"/proc/{parent}/comm").read_text().strip()
    except OSError:
        return True
    return any(comm == name[:15] for name in _RUNTIMES)


def _probes(plan: Plan, events: KvmEvents, pins_refused: str) -> tuple[Probe, ...]:
    attached = [
        Probe(
            tracepoint=name,
            state=ProbeState.ATTACHED,
            detail=_WORD_IS_CUT if name == _WORD and plan.word_is_cut else "",
        )
        for name in plan.attach
    ]
    absent = [
        Probe(tracepoint=gap.tracepoint, state=ProbeState.ABSENT, detail=gap.reason) for gap in plan.absent
    ]
    return (
        *attached,
        *absent,
        _other("uevent:kvm", events.unavailable),
        _other("bpffs:pins", pins_refused),
    )


def _other(name: str, refused: str) -> Probe:
    return Probe(
        tracepoint=name, state=ProbeState.REFUSED if refused else ProbeState.ATTACHED, detail=refused
    )
