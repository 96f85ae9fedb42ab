"""The VMMs whose command lines are understood: how to tell each, and where it says name and UUID."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from collector.identity.options import bracketed_pairs, option, options, qemu_pairs, socket_name


@dataclass(frozen=True, slots=True)
class Said:
    """What a command line says about its VM; empty where it says nothing."""

    name: str = ""
    uuid: str = ""


_PROGRAMS: Mapping[str, re.Pattern[str]] = {
    "qemu": re.compile(r".*qemu.*|kvm"),
    "firecracker": re.compile(r"firecracker.*"),
    # comm is cut at 15 characters.
    "cloud-hypervisor": re.compile(r"cloud-hyperviso.*"),
    "crosvm": re.compile(r"crosvm.*"),
    "kvmtool": re.compile(r"lkvm.*|kvmtool"),
}


def kind(command: Sequence[str], comm: str) -> str:
    """Tell which VMM a process is; empty where it is none of those known here.

    The program's own name decides. comm can be set freely (QEMU's ``-name process=``) and counts only
    where the command line is missing or names another program (a loader, a wrapper).
    """
    program = PurePosixPath(command[0]).name if command else ""
    for candidate in (program, comm):
        for name, pattern in _PROGRAMS.items():
            if pattern.fullmatch(candidate):
                return name
    return ""


def said_by(vmm: str, command: Sequence[str]) -> Said:
    """Return what the command line of this kind of VMM says."""
    read = _READERS.get(vmm)
    return read(command) if read else Said()


def _qemu(command: Sequence[str]) -> Said:
    # QEMU merges several -name options key by key; --name is the same as -name.
    name: dict[str, str] = {}
    for value in options(command, "-name", "--name"):
        name |= qemu_pairs(value, implied="guest")
    uuid = option(command, "-uuid", "--uuid")
    for value in options(command, "-smbios", "--smbios"):
        table = qemu_pairs(value)
        if table.get("type") == "1" and not uuid:
            uuid = table.get("uuid", "")
    return Said(name.get("guest", ""), uuid)


def _firecracker(command: Sequence[str]) -> Said:
    identity = option(command, "--id")
    if identity and identity != "anonymous-instance":
        return Said(identity)
    return Said(socket_name(option(command, "--api-sock")))


def _cloud_hypervisor(command: Sequence[str]) -> Said:
    platform = bracketed_pairs(option(command, "--platform"))
    socket = option(command, "--api-socket")
    path = bracketed_pairs(socket).get("path", "" if "=" in socket else socket)
    serial = platform.get("serial_number") or platform.get("serial") or ""
    return Said(serial or socket_name(path), platform.get("uuid", ""))


def _crosvm(command: Sequence[str]) -> Said:
    return Said(option(command, "--name") or socket_name(option(command, "-s", "--socket")))


def _kvmtool(command: Sequence[str]) -> Said:
    # Of "lkvm run"; -n is its network there, the name has no short form.
    return Said(option(command, "--name"))


_READERS: Mapping[str, Callable[[Sequence[str]], Said]] = {
    "qemu": _qemu,
    "firecracker": _firecracker,
    "cloud-hypervisor": _cloud_hypervisor,
    "crosvm": _crosvm,
    "kvmtool": _kvmtool,
}
