# SPDX-License-Identifier: Apache-2.0
"""What people call a VM."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from backend.store.contract.vms import VmMember


def title(vm: VmMember) -> str:
    """Return its name, else its UUID, else its VMM and process id."""
    return vm.name or vm.uuid or f"{vm.vmm or 'VM'} {vm.pid}"


def labels(vms: Iterable[VmMember]) -> Mapping[str, str]:
    """Return what VMs are called beside one another, by id.

    Those of one name have their process ids too, those of one process as well the beginning of their ids.
    """
    listed = list(vms)
    alike = Counter(map(title, listed))
    twins = Counter(map(_with_pid, listed))
    return {
        vm.id: title(vm)
        if alike[title(vm)] == 1
        else _with_pid(vm) + (f" · {vm.id[:4]}" if twins[_with_pid(vm)] > 1 else "")
        for vm in listed
    }


def guest_labels(vms: Iterable[VmMember]) -> Mapping[str, str]:
    """Return what guests are called beside one another, by id; the newest of their VMs names each.

    Those of one name have the beginnings of their ids, too.
    """
    names = {vm.guest: title(vm) for vm in sorted(vms, key=lambda vm: vm.first_seen_ms)}
    alike = Counter(names.values())
    return {guest: name if alike[name] == 1 else f"{name} · {guest[:4]}" for guest, name in names.items()}


def natural(text: str) -> Sequence[object]:
    """Return a key that sorts texts as people do: vm-2 before vm-10, letter case aside."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(1, int(part), "") if at % 2 else (0, 0, part) for at, part in enumerate(parts)]


def _with_pid(vm: VmMember) -> str:
    return f"{title(vm)} · pid {vm.pid}"
