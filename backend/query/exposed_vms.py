# SPDX-License-Identifier: Apache-2.0
"""Which VMs have series: those that run, and for a while those that have ended, so that their last counts are
seen."""

from collections.abc import Collection, Sequence

from backend.query.choice import EVERYONE
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmMember
from faultmodel.units import MS_PER_S, NS_PER_MS

GONE_S = 120
"""Two intervals of a minute, after the end of a VM that is known to have ended."""
ABSENT_S = 86_400
"""What runs on a host that has not been heard of for so long is gone, too."""
MOST_VMS = 2000
"""More have no series: 150,000 series are what one scrape can bring."""


class ExposedVms:
    """Remembers which VMs it has shown as running. Of one thread at a time.

    A host may be away while a VM ends: its last counts then come with the news that it ended long ago. So a
    VM is shown for a while from when that is known.
    """

    def __init__(self) -> None:
        self._running: frozenset[int] = frozenset()
        self._gone_ms: dict[int, int] = {}
        """When the end of VMs that were shown as running was found, by their numbers."""

    def choose(self, store: Store, hosts: Collection[str], now_ms: int) -> tuple[Sequence[VmMember], int]:
        """Return the VMs of these hosts that have series, and how many have none as there are too many.

        Within the caller's snapshot of the store.
        """
        span = TimeRange(now_ms - ABSENT_S * MS_PER_S, None)
        members, left_out = EVERYONE.members(store, span, now_ms)
        found = [vm for vm in members if vm.host in hosts]
        running = {vm.number for vm in found if vm.ended_ns is None and vm.is_current}
        gone_ms = {vm.number: self._gone(vm, now_ms) for vm in found if vm.number not in running}
        self._gone_ms = {
            number: at_ms for number, at_ms in gone_ms.items() if now_ms - at_ms < GONE_S * MS_PER_S
        }
        self._running = frozenset(running)
        shown = [vm for vm in found if vm.number in running or vm.number in self._gone_ms]
        # Those that have been shown go on to be: the others have greater numbers.
        shown.sort(key=lambda vm: (vm.number not in running, vm.number))
        return shown[:MOST_VMS], left_out + len(shown[MOST_VMS:])

    def _gone(self, vm: VmMember, now_ms: int) -> int:
        if vm.number in self._gone_ms:
            return self._gone_ms[vm.number]
        if vm.number in self._running:
            return now_ms
        return vm.life_end_ms if vm.ended_ns is None else max(vm.ended_ns // NS_PER_MS, vm.life_end_ms)
