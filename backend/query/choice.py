# SPDX-License-Identifier: Apache-2.0
"""Which VMs a question is about: by their ids, by what is known of them, by whether they run; and whether
they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.query.globs import matching, resolved
from backend.store.contract.hosts import AsOf
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmMember, VmMembers
from faultmodel import arch as architectures
from faultmodel.units import NS_PER_MS


class State(StrEnum):
    """Whether a VM runs at a range's end."""

    RUNNING = "running"
    ENDED = "ended"


_ANYTHING = VmFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """VMs that fulfil all of this.

    ``names``: one of these, or of these globs, is the VM's name (``globs``); any where there are none.
    ``text``: is part of the VM's name, UUID, VMM, manager, host, architecture, process id or id; letter case
    aside.
    """

    where: VmFilter = _ANYTHING
    names: tuple[str, ...] = ()
    text: str = ""
    state: State | None = None

    @property
    def is_everyone(self) -> bool:
        """Whether it leaves out none."""
        return self == EVERYONE

    @property
    def host_names(self) -> Sequence[str] | None:
        """The hosts whose batches can change which VMs these are; None for every one."""
        return self.where.hosts

    def members(self, store: Store, span: TimeRange, now_ms: int) -> VmMembers:
        """Return the VMs of the range; no order. What is left out was not looked through."""
        found, left_out = store.members(self.where, span)
        text, at_ms = self.text.strip().casefold(), end_of(span, now_ms)
        if self.names:
            named = set(matching({vm.name for vm in found}, self.names))
            found = [vm for vm in found if vm.name in named]
        if text:
            found = [vm for vm in found if text in _searched(vm)]
        if self.state is not None:
            wanted = self.state is State.RUNNING
            found = [vm for vm in found if is_running(vm, at_ms) is wanted]
        return VmMembers(found, left_out)

    def takes(self, vm: VmMember) -> bool:
        """Tell whether a VM is one of them, whether it runs aside."""
        where = self.where
        is_there = (
            (where.hosts is None or vm.host in where.hosts)
            and (where.names is None or vm.name in where.names)
            and (where.pids is None or vm.pid in where.pids)
            and (where.archs is None or vm.arch in where.archs)
            and (where.guests is None or vm.guest in where.guests)
        )
        is_named = not self.names or bool(matching([vm.name], self.names))
        return is_there and is_named and self.text.strip().casefold() in _searched(vm)


EVERYONE = Choice()


def members_of(
    store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ms: int
) -> tuple[Sequence[VmMember], int, AsOf]:
    """Return VMs, every VM of the range where None; how many were left out; as of when.

    :raises NotFoundError: a VM is unknown
    """
    if vm_ids is None:
        members, left_out = EVERYONE.members(store, span, now_ms)
        return members, left_out, store.as_of(None)
    named = store.members_named(vm_ids)
    return named, 0, store.as_of(sorted({vm.host for vm in named}))


def chosen_members(
    store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ms: int
) -> tuple[Sequence[str], int, AsOf]:
    """Return VMs' ids. As ``members_of``."""
    members, left_out, as_of = members_of(store, vm_ids, span, now_ms)
    return [vm.id for vm in members], left_out, as_of


def end_of(span: TimeRange, now_ms: int) -> int:
    """Return the time at which a range is judged, UTC ms: its end, or now where that lies ahead."""
    return now_ms if span.to_ms is None else min(span.to_ms, now_ms)


def is_running(vm: VmMember, at_ms: int) -> bool:
    """Return whether a VM that was there had not ended by then.

    A VM whose end was never reported had one where its host has booted anew: when it was seen last.
    """
    if vm.ended_ns is not None:
        return vm.ended_ns // NS_PER_MS >= at_ms
    return vm.is_current or vm.life_end_ms >= at_ms


def life_of(vm: VmMember) -> tuple[int, int | None]:
    """Return when a VM began and ended, UTC ms; None where it may still run."""
    began_ms = min(vm.started_ns // NS_PER_MS, vm.first_seen_ms)
    if vm.ended_ns is not None:
        return began_ms, max(vm.ended_ns // NS_PER_MS, vm.life_end_ms)
    return began_ms, None if vm.is_current else vm.life_end_ms


def canonical_archs(wanted: Sequence[str]) -> Sequence[str]:
    """Return the architectures that go by these names, or by names that match these globs.

    VMs are kept under the canonical name: arm64 is aarch64. A name of nothing finds nothing.
    """
    known = list(architectures.architectures().values())
    found = resolved(wanted, [name for one in known for name in one.machines])
    return [next((one.name for one in known if name in one.machines), name) for name in found]


def _searched(vm: VmMember) -> str:
    texts = (vm.name, vm.uuid, vm.vmm, vm.manager, vm.host, vm.arch, str(vm.pid), vm.id, vm.reported_id)
    return "\n".join(texts).casefold()
