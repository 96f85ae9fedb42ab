"""From a VMM's command line, cgroup and comm to the VM's name: pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from collector.identity import cgroup as cgroups
from collector.identity import vmm as vmms

TEXT_LENGTH = 256
COMMAND_LENGTH = 1024
"""Bounds of the wire's texts, in characters."""
_ARGUMENT_LENGTH = 4096
"""Anybody who may run a VM chooses its command line: this keeps reading it cheap."""

_UUID = re.compile(r"\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?")
_KATA_DOMAIN = re.compile(r"sandbox-([0-9a-f]{64})")
_KATA_FOLDER = re.compile(r"/run/vc/(?:vm|firecracker)/([^/,=]+)")
_KUBEVIRT_DOMAIN = re.compile(r"([a-z0-9.-]+)_([a-z0-9.-]+)")
_SECRET = re.compile(
    r"""((?:^|[\s,{"'=-])[\w.-]{0,40}(?:password|passwd|secret|token|credential)[\w.-]{0,40}"?[=:])(?:[^,}]|,,)+""",
    re.I,
)
# A QEMU secret's key, and a text handed to the guest's firmware: their names do not show what they are.
_SECRET_KEY = re.compile(r"""(,data=|"data":)(?:[^,}]|,,)+""")
_FIRMWARE_TEXT = re.compile(r"(,string=)(?:[^,]|,,)+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Naming:
    """A VM's identity as far as it shows. ``name`` and ``vmm`` are never empty where comm is not."""

    name: str
    uuid: str
    vmm: str
    manager: str


def name_vm(command: Sequence[str], cgroup: str, comm: str) -> Naming:
    """Name a VM after what its VMM's process shows.

    The command line is preferred to the cgroup, whose names are lossy, and that to comm. A VMM that is not
    known (a script, a test) is named after its comm.

    :param cgroup: the text of /proc/PID/cgroup
    """
    command = [argument[:_ARGUMENT_LENGTH] for argument in command]
    vmm = vmms.kind(command, comm)
    said = vmms.said_by(vmm, command)
    manager, managed_name = _manager(vmm, said.name, command, cgroup)
    return Naming(
        name=cut(managed_name or said.name or comm, TEXT_LENGTH),
        uuid=_uuid(said.uuid),
        vmm=cut(vmm or comm, TEXT_LENGTH),
        manager=manager,
    )


def command_text(command: Sequence[str]) -> str:
    """Return a command line for people, on one line and bounded; values that look secret are left out."""
    shown = ""
    value_is_secret = False
    for argument in command:
        # More than is shown need not be looked at.
        bounded = argument[: COMMAND_LENGTH + 1]
        shown += " " + ("…" if value_is_secret else _without_secrets(bounded))
        if len(shown) > COMMAND_LENGTH + 1:
            break
        value_is_secret = bounded.startswith("-") and _SECRET.fullmatch(bounded + "=x") is not None
    return cut(shown.removeprefix(" "), COMMAND_LENGTH)


def cut(text: str, length: int) -> str:
    """Bound a text to ``length`` characters, a cut marked with an ellipsis, the unprintable with U+FFFD."""
    printable = _UNPRINTABLE.sub("\ufffd", text[: length + 1])
    return printable if len(text) <= length else printable[: length - 1] + "…"


def _manager(vmm: str, name: str, command: Sequence[str], cgroup: str) -> tuple[str, str]:
    # The name is empty where the manager knows none better than the command line's.
    if sandbox := _kata_sandbox(name, command, cgroup):
        return "kata", sandbox
    if vmm == "qemu" and (domain := _kubevirt_domain(name, command, cgroup)):
        return "kubevirt", domain
    libvirt_name = cgroups.libvirt_name(cgroup)
    if libvirt_name or any("/libvirt/qemu/" in argument for argument in command):
        return "libvirt", name or libvirt_name
    if vmm == "firecracker":
        jail_name = cgroups.jail_name(cgroup)
        if jail_name or any(argument.startswith("--start-time-us") for argument in command):
            return "jailer", name or jail_name
    return "", ""


def _kata_sandbox(name: str, command: Sequence[str], cgroup: str) -> str:
    if found := _KATA_DOMAIN.fullmatch(name):
        return found[1]
    for argument in command:
        if found := _KATA_FOLDER.search(argument):
            return found[1]
    return cgroups.kata_sandbox(cgroup)


def _kubevirt_domain(name: str, command: Sequence[str], cgroup: str) -> str:
    # A Kubernetes name holds no underscore, so that the first one parts namespace and name.
    found = _KUBEVIRT_DOMAIN.fullmatch(name)
    if not found:
        return ""
    marked = any("kubevirt" in argument.lower() for argument in command)
    return f"{found[1]}/{found[2]}" if marked or cgroups.is_kubernetes(cgroup) else ""


def _uuid(text: str) -> str:
    found = _UUID.fullmatch(text.strip().lower())
    return "-".join(found.groups()) if found else ""


def _without_secrets(argument: str) -> str:
    if argument.startswith("secret,") or '"secret"' in argument:
        argument = _SECRET_KEY.sub(r"\1…", argument)
    elif argument.startswith("name="):
        argument = _FIRMWARE_TEXT.sub(r"\1…", argument)
    return _SECRET.sub(r"\1…", argument)
