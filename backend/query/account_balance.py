# SPDX-License-Identifier: Apache-2.0
"""Whether what became of VMs' faults adds up."""

from collections.abc import Collection, Mapping, Sequence
from operator import add

from backend.query.findings import Code, Found
from backend.store.contract.accounts import CountingTotal
from backend.store.contract.store import Store

Findings = Mapping[str, Sequence[Found]]
"""By the host's name, or by the VM's id."""


def missing(countings: Sequence[CountingTotal]) -> int:
    """Return how many faults were seen and are in no stored batch."""
    return sum(max(0, item.seen_total - item.stored) for item in countings)


def is_settled(countings: Sequence[CountingTotal], found: Sequence[Found]) -> bool:
    """Return whether no more is stored than was seen, and no finding leaves open what was counted."""
    return all(item.stored <= item.seen_total for item in countings) and not any(
        item.leaves_open for item in found
    )


def add_up(figures: Mapping[str, list[int]]) -> bool:
    """Return whether every fault that was seen became one of those of the ledger, at each of many points.

    :param figures: of the points, by name
    """
    counted = _added(figures["counted"], figures["uncounted"])
    recorded = _added(figures["sampled_out"], figures["recorded"], figures["dropped"])
    return figures["seen"] == counted == recorded


def _added(first: list[int], *others: list[int]) -> list[int]:
    """Return the sums of figures, of which nearly all others are 0 at every point."""
    for figure in others:
        if any(figure):
            first = list(map(add, first, figure))
    return first


def findings_of_vms(store: Store, owners: Mapping[str, str], of_hosts: Findings) -> Findings:
    """Return what concerns each VM: a double count only where it was itself counted twice.

    :param owners: the host's name by the VM's id
    """
    twice = {host for host, found in of_hosts.items() if any(map(_is_double, found))}
    perhaps = [vm_id for vm_id, host in owners.items() if host in twice]
    doubled: Collection[str] = store.doubled(perhaps) if perhaps else ()
    of_others = {
        host: [item for item in found if not _is_double(item)] if host in twice else found
        for host, found in of_hosts.items()
    }
    return {
        vm_id: (of_hosts if vm_id in doubled else of_others).get(host, ()) for vm_id, host in owners.items()
    }


def _is_double(item: Found) -> bool:
    return item.code is Code.COUNTED_TWICE
