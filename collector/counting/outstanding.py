# SPDX-License-Identifier: Apache-2.0
"""Lists the faults in which vCPUs are asleep, with what each waits for and what is known of its handler."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from collector.counting.handlers import Handlers, Lost, Waited
from collector.counting.reading import Reading
from collector.errors import ProbeError
from collector.probe.layout import OpenFault, VcpuKey, VmKey
from faultmodel.kinds import EventKind
from faultmodel.record import HostEvent
from faultmodel.record_outstanding import Outstanding, OutstandingLook
from faultmodel.units import NS_PER_S
from faultmodel.waits import Handler, WaitsFor

MOST_FAULTS = 256
"""That are listed, the longest."""
LEAST_NS = NS_PER_S // 10
"""From which age on a fault is listed."""
CLOSED_NS = 60 * NS_PER_S
"""For how long a vCPU is listed whose userfaultfd was closed."""
_ARM64 = "esr_el2"
_GUEST_VIRTUAL = ("pferr", _ARM64)
"""Formats of words whose first event has a guest-virtual address."""
_NO_HANDLERS = "whether userfaultfd handlers live is not known: "

WaitsForOf = Callable[[int], tuple[WaitsFor, str]]
"""Returns what a kernel stack waits for, by its number."""


class OutstandingWatcher:
    """Ships the whole list at each reading while there is any, and once without. For one thread."""

    name = "outstanding"

    def __init__(
        self,
        waits_for: WaitsForOf | None,
        handlers: Handlers | None,
        why_no_handlers: str = "",
        *,
        form: str,
    ) -> None:
        """:param waits_for: None where the kernel does not name its functions

        :param handlers: None where the kernel does not show userfaultfds
        :param form: the format of the words of faults, which says what their first event's address is
        """
        self._waits_for = waits_for
        self._handlers = handlers
        self._why_no_handlers = (
            "the kernel does not name its functions" if waits_for is None else why_no_handlers
        )
        self._form = form
        self._closed: dict[VcpuKey, tuple[int, Lost]] = {}
        self._had_any = True
        self._lacking = self._why_no_handlers

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return the sections ``outstanding``, ``outstanding_looks`` and ``events``."""
        now_ns = reading.checkpoint.monotonic_ns
        faults = {
            VcpuKey(one.kvm, one.instance, one.vcpu_id): one
            for one in sorted(reading.open_faults, key=_since_ns)
            if VmKey(one.kvm, one.instance) in ids and now_ns - _since_ns(one) >= LEAST_NS
        }
        known, lost = self._known(reading, ids, faults)
        events = self._note(reading, ids, lost)
        rows = [
            self._row(reading, ids, vcpu, fault, known.get(vcpu)) for vcpu, fault in faults.items()
        ] + self._closed_rows(reading, ids, faults)
        had_any, self._had_any = self._had_any, bool(rows)
        if not rows and not had_any:
            return {}
        # What was lost is among the rows.
        look = OutstandingLook(reading.to_ns, max(0, len(rows) - MOST_FAULTS))
        return {"outstanding": rows[:MOST_FAULTS], "outstanding_looks": [look], "events": events}

    def lacking(self) -> str:
        """Return what the newest rows lack; empty if they are whole."""
        return _NO_HANDLERS + self._lacking if self._lacking else ""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""
        gone = frozenset(vms)
        self._closed = {vcpu: one for vcpu, one in self._closed.items() if vcpu[:2] not in gone}
        if self._handlers is not None:
            self._handlers.forget(gone)

    def _known(
        self, reading: Reading, ids: Mapping[VmKey, str], faults: Mapping[VcpuKey, OpenFault]
    ) -> tuple[Mapping[VcpuKey, Waited], Sequence[Lost]]:
        """Return what is known of vCPUs that wait for a userfaultfd, and what VMs have lost."""
        self._lacking = self._why_no_handlers
        if self._handlers is None or self._waits_for is None:
            return {}, ()
        waits_for = self._waits_for
        waiting = [one for one in faults.values() if waits_for(one.stack)[0] is WaitsFor.USERFAULTFD]
        waits = {} if reading.waits is None else reading.waits.waits
        answered = {
            VmKey(key.kvm, key.instance) for key in waits if waits_for(key.stack)[0] is WaitsFor.USERFAULTFD
        }
        try:
            found, lost = self._handlers.look(reading, waiting, answered & ids.keys())
        except ProbeError as exc:
            self._lacking = str(exc)
            return {}, ()
        if left_out := self._handlers.left_out:
            self._lacking = f"{left_out} VMs more wait for one than are looked at"
        return found, lost

    def _note(self, reading: Reading, ids: Mapping[VmKey, str], lost: Sequence[Lost]) -> list[HostEvent]:
        """Have what VMs have lost listed for a while; return an event for each of these VMs."""
        for one in lost:
            self._closed[one.vcpu] = reading.checkpoint.monotonic_ns, one
        vms = sorted({ids[VmKey(one.vcpu.kvm, one.vcpu.instance)] for one in lost})
        kind = EventKind.USERFAULTFD_CLOSED
        return [HostEvent(time_ns=reading.to_ns, kind=kind, vm=vm) for vm in vms]

    def _row(
        self,
        reading: Reading,
        ids: Mapping[VmKey, str],
        vcpu: VcpuKey,
        fault: OpenFault,
        known: Waited | None,
    ) -> Outstanding:
        gpa, gva = self._addresses(fault)
        waits_for, detail = (None, "") if self._waits_for is None else self._waits_for(fault.stack)
        return Outstanding(
            time_ns=reading.to_ns,
            vm=ids[VmKey(vcpu.kvm, vcpu.instance)],
            vcpu=vcpu.vcpu,
            age_ns=reading.checkpoint.monotonic_ns - _since_ns(fault),
            gpa=known.gpa if gpa is None and known is not None else gpa,
            gva=gva,
            waits_for=waits_for,
            detail=detail if waits_for is WaitsFor.LOCK else "",
            handler=None if known is None else known.handler,
            handler_pid=None if known is None else known.pid,
        )

    def _addresses(self, fault: OpenFault) -> tuple[int | None, int | None]:
        """Return its guest-physical and guest-virtual address; None where that is not shown."""
        if self._form == _ARM64:
            return fault.ipa, fault.walk_address
        return (None, fault.walk_address) if self._form in _GUEST_VIRTUAL else (fault.walk_address, None)

    def _closed_rows(
        self, reading: Reading, ids: Mapping[VmKey, str], faults: Collection[VcpuKey]
    ) -> list[Outstanding]:
        now_ns = reading.checkpoint.monotonic_ns
        self._closed = {
            vcpu: (at_ns, lost) for vcpu, (at_ns, lost) in self._closed.items() if now_ns - at_ns < CLOSED_NS
        }
        return [
            Outstanding(
                time_ns=reading.to_ns,
                vm=ids[VmKey(vcpu.kvm, vcpu.instance)],
                vcpu=vcpu.vcpu,
                age_ns=now_ns - at_ns,
                gpa=lost.gpa,
                gva=lost.gva if self._form in _GUEST_VIRTUAL else None,
                waits_for=WaitsFor.USERFAULTFD,
                handler=Handler.CLOSED,
            )
            for vcpu, (at_ns, lost) in self._closed.items()
            # A vCPU that stands still again is listed for that.
            if vcpu not in faults and VmKey(vcpu.kvm, vcpu.instance) in ids
        ]


def _since_ns(fault: OpenFault) -> int:
    """Return when a fault began, monotonic: where it was not timed, when its vCPU fell asleep."""
    return fault.begun_ns or fault.asleep_since_ns
