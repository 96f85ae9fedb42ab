# SPDX-License-Identifier: Apache-2.0
"""This host as every batch describes it."""

import os
import platform
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collector import rights
from collector.own_command import NAME, is_in_container
from collector.probe.plan import Plan
from collector.version import version
from collector.vms.identity.process import host_proc
from collector.vms.identity.uevents import KvmEvents
from faultmodel.kinds import CheckState, HostState, ProbeState
from faultmodel.record import DETAIL_LENGTH, Check, Collector, Host, Probe
from faultmodel.text import cut

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

    def waiting(self, for_what: Check) -> Host:
        """Nothing is attached, and why."""
        return self._host(HostState.WAITING, checks=(for_what,))

    def attached(
        self, plan: Plan, events: KvmEvents, not_pinned: Check | None, sides_lacking: str = ""
    ) -> Host:
        """The plan's programs are in place.

        :param not_pinned: why counting does not outlive the collector; None where it does
        :param sides_lacking: why the kernel may skip events; empty where it will not
        """
        return self._host(
            HostState.ATTACHED,
            flavour=plan.flavour.name,
            probes=_probes(plan),
            checks=tuple(_checks(events, not_pinned, sides_lacking)),
        )

    def _host(
        self,
        state: HostState,
        *,
        flavour: str = "",
        probes: tuple[Probe, ...] = (),
        checks: tuple[Check, ...],
    ) -> Host:
        return Host(
            name=self.name,
            boot_id=self.boot_id,
            arch=self.arch,
            state=state,
            kernel=platform.release(),
            flavour=flavour,
            checks=checks,
            collector_version=version(),
            probes=probes,
            collector=_collector(self.data_dir),
        )


def with_shed(host: Host, shed: Collection[str]) -> Host:
    """Return a host some of whose probes are shed. :param shed: names of programs"""
    if not shed:
        return host
    probes = tuple(
        msgspec.structs.replace(probe, state=ProbeState.SHED)
        if probe.state is ProbeState.ATTACHED and probe.tracepoint.partition(":")[2] in shed
        else probe
        for probe in host.probes
    )
    return msgspec.structs.replace(host, probes=probes)


_WORD = "kvm:kvm_page_fault"
_WORD_IS_CUT = "the kernel passes the lower 32 bits of the word only"


def _collector(data_dir: Path) -> Collector:
    program = Path(sys.executable).with_name(NAME)
    return Collector(
        program=str(program) if os.access(program, os.X_OK) else "",
        data_dir=str(data_dir.absolute()),
        in_container=is_in_container() and _is_containers_own(),
        capabilities=rights.held(),
        takes_requests=True,
    )


def _is_containers_own() -> bool:
    """Return whether the container was started for the collector, not the collector from a shell in it.

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


def _probes(plan: Plan) -> tuple[Probe, ...]:
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
    return (*attached, *absent)


def _checks(events: KvmEvents, not_pinned: Check | None, sides_lacking: str) -> Iterator[Check]:
    yield _check("sides", sides_lacking)
    if not_pinned is None:
        yield _check("pins", "")
    else:
        found = cut(f"counting ends with the collector: {not_pinned.found}", DETAIL_LENGTH)
        yield msgspec.structs.replace(not_pinned, found=found)
    yield _check("ends", events.unavailable)
    not_named = "VMs are named after their process only: not in the host's pid namespace"
    yield _check("names", not_named if host_proc() is None else "")


def _check(name: str, lacking: str) -> Check:
    if not lacking:
        return Check(name=name, state=CheckState.OK, found="")
    return Check(name=name, state=CheckState.LACKING, found=cut(lacking, DETAIL_LENGTH))
