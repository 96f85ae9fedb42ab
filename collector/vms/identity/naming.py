# SPDX-License-Identifier: Apache-2.0
"""From a VMM's command line, cgroup and comm to the VM's name: pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from collector.vms.identity import cgroup as cgroups
from collector.vms.identity import vmm as vmms
from faultmodel.text import cut

TEXT_LENGTH = 256
"""Bound of the wire's texts, in characters."""
_ARGUMENT_LENGTH = 4096
"""Anybody who may run a VM chooses its command line: this keeps reading it cheap."""

_UUID = re.compile(r"\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?")
_KATA_DOMAIN = re.compile(r"sandbox-([0-9a-f]{64})")
_KATA_FOLDER = re.compile(r"/run/(?:vc/(?:vm|firecracker)|kata(?:/firecracker)?)/(?!firecracker/)([^/,=]+)/")
"""Source: Kata Containers, src/runtime/virtcontainers (/run/vc) and src/runtime-rs, KATA_PATH (/run/kata)."""
_KUBEVIRT_DOMAIN = re.compile(r"([a-z0-9.-]+)_([a-z0-9.-]+)")
_CUTTLEFISH_FOLDER = re.compile(r"/([^/,=]+)/internal/crosvm_control\.sock")
"""Source: Cuttlefish, host/libs/config, PerInstanceInternalPath(): <instance>/internal/."""
_PODMAN_FILE = re.compile(r"/podman/(?:qmp_([^/,=]+)\.sock|([^/,=]+)_(?:vm\.pid|ready\.sock))(?![\w.])")
"""Source: Podman 4, pkg/machine/qemu: <runtime directory>/podman/<machine>_vm.pid and others."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A VM's identity as far as it shows. ``name`` and ``vmm`` are never empty where comm is not.

    ``is_comm``: ``name`` is the comm alone, which every VM of such a process has.
    """

    name: str
    uuid: str
    vmm: str
    manager: str
    is_comm: bool = False


def name_vm(command: Sequence[str], cgroup: str, comm: str) -> Naming:
    """Name a VM after what its VMM's process shows.

    The command line is preferred to the cgroup, whose names are lossy, and that to comm. A VMM that is not
    known (a script, a test) is named after its comm.

    :param cgroup: the text of /proc/PID/cgroup
    """
    command = vmms.unwrapped([argument[:_ARGUMENT_LENGTH] for argument in command])
    vmm = vmms.kind(command, comm)
    said = vmms.said_by(vmm, command)
    manager, managed_name = _manager(vmm, said, command, cgroup)
    own_name = managed_name or said.name
    return Naming(
        name=cut(own_name or comm, TEXT_LENGTH),
        uuid=_uuid(said.uuid),
        vmm=cut(vmm or comm, TEXT_LENGTH),
        manager=manager,
        is_comm=not own_name,
    )


def _manager(vmm: str, said: vmms.Said, command: Sequence[str], cgroup: str) -> tuple[str, str]:
    # The name is empty where the manager knows none better than the command line's.
    if sandbox := _kata_sandbox(vmm, said.name, command, cgroup):
        return "kata", sandbox
    if vmm == "qemu" and (domain := _kubevirt_domain(said.name, command, cgroup)):
        return "kubevirt", domain
    libvirt_name = cgroups.libvirt_name(cgroup)
    if libvirt_name or any("/libvirt/qemu/" in argument for argument in command):
        return "libvirt", said.name or libvirt_name
    if vmm == "firecracker":
        jail_name = cgroups.jail_name(cgroup)
        if jail_name or any(argument.startswith("--start-time-us") for argument in command):
            return "jailer", said.name or jail_name
    if vmm == "crosvm" and (found := _in_an_argument(_CUTTLEFISH_FOLDER, command)):
        return "cuttlefish", found
    if vmm == "qemu" and not said.name and (found := _in_an_argument(_PODMAN_FILE, command)):
        return "podman", found
    return "", ""


def _kata_sandbox(vmm: str, name: str, command: Sequence[str], cgroup: str) -> str:
    if vmm == "dragonball":
        # It runs in Kata's shim, which has the sandbox's id.
        return name
    if found := _KATA_DOMAIN.fullmatch(name):
        return found[1]
    return _in_an_argument(_KATA_FOLDER, command) or cgroups.kata_sandbox(cgroup)


def _in_an_argument(pattern: re.Pattern[str], command: Sequence[str]) -> str:
    for argument in command:
        if found := pattern.search(argument):
            return str(next(filter(None, found.groups())))
    return ""


def _kubevirt_domain(name: str, command: Sequence[str], cgroup: str) -> str:
    # A Kubernetes name holds no underscore, so that the first one parts namespace and name.
    found = _KUBEVIRT_DOMAIN.fullmatch(name)
    if not found:
        return ""
    marked = any("kubevirt" in argument.lower() for argument in command)
    return f"{found[1]}/{found[2]}" if marked or cgroups.is_kubernetes(cgroup) else ""


def _uuid(text: str) -> str:
    found = _UUID.fullmatch(text.lower())
    return "-".join(found.groups()) if found else ""
