# SPDX-License-Identifier: Apache-2.0
"""What people call a VM."""

from collections import Counter
from collections.abc import Iterable, Mapping

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


def _with_pid(vm: VmMember) -> str:
    return f"{title(vm)} · pid {vm.pid}"
