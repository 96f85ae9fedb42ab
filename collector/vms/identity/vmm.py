# SPDX-License-Identifier: Apache-2.0
"""The VMMs whose command lines are understood: how each is recognised, and where it has name and UUID."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from collector.vms.identity.options import bracketed_pairs, option, options, qemu_pairs, socket_name


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
    "stratovirt": re.compile(r"stratovirt.*"),
    "openvmm": re.compile(r"openvmm.*"),
    "gvisor": re.compile(r"runsc-sandbox"),
    "virtualbox": re.compile(r"VBoxHeadless|VBoxSDL|VirtualBoxVM|VirtualBox"),
    # The VMM that Kata's shim of runtime-rs has built in; the others are programs of their own.
    "dragonball": re.compile(r"containerd-shim-kata-v2"),
}
_LOADERS = re.compile(
    r"ld(?:-linux[\w-]*|-musl-\w+|64)?\.so(?:\.\d+)?|(?:memcheck|callgrind|massif|helgrind|drd|none)-\w+-linux"
    r"|valgrind(?:\.bin)?|box64|FEXInterpreter|FEXLoader"
)
"""Programs that load another into their own process: its name stands among their arguments."""
_LOADER_OPTIONS = frozenset(
    (
        *("--library-path", "--inhibit-rpath", "--audit", "--preload", "--argv0"),
        *("--glibc-hwcaps-prepend", "--glibc-hwcaps-mask"),
    )
)
"""Those that have a value after them. Source: ld.so(8); valgrind's have theirs after an equals sign."""


def unwrapped(command: Sequence[str]) -> Sequence[str]:
    """Return the command line of the VMM that a loader runs; any other as it is."""
    if not command or not _LOADERS.fullmatch(PurePosixPath(command[0]).name):
        return command
    # Its own options come first; one of them may have a value that ends as a program is called.
    position = 1
    while position < len(command) and command[position].startswith("-"):
        position += 2 if command[position] in _LOADER_OPTIONS else 1
    return command[position:] if kind(command[position : position + 1], "") else command


def kind(command: Sequence[str], comm: str) -> str:
    """Return which VMM a process is; empty where it is none of those known here.

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
    return read(command) if read and command else Said()


_QEMU_TEXTS = ("-append", "--append")


def _qemu(command: Sequence[str]) -> Said:
    # QEMU merges several -name options key by key; --name is the same as -name.
    name: dict[str, str] = {}
    for value in options(command, "-name", "--name", texts=_QEMU_TEXTS):
        name |= qemu_pairs(value, implied="guest")
    # The Android emulator, a QEMU, names its guest after the virtual device: "-avd NAME" or "@NAME".
    avd = option(command, "-avd", texts=_QEMU_TEXTS) or _short_avd(command)
    uuid = option(command, "-uuid", "--uuid", texts=_QEMU_TEXTS)
    for value in options(command, "-smbios", "--smbios", texts=_QEMU_TEXTS):
        table = qemu_pairs(value)
        if table.get("type") == "1" and not uuid:
            uuid = table.get("uuid", "")
    return Said(name.get("guest", "") or avd, uuid)


def _short_avd(command: Sequence[str]) -> str:
    if "/emulator/" not in command[0]:
        return ""
    return next((argument[1:] for argument in command[1:] if argument.startswith("@")), "")


def _firecracker(command: Sequence[str]) -> Said:
    identity = option(command, "--id")
    if identity and identity != "anonymous-instance":
        return Said(identity)
    return Said(socket_name(option(command, "--api-sock")) or socket_name(option(command, "--config-file")))


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


def _openvmm(command: Sequence[str]) -> Said:
    # It has no option for a name. "--ttrpc PATH" and "--grpc PATH" are the older "--rpc path=PATH".
    path = bracketed_pairs(option(command, "--rpc")).get("path", "") or option(command, "--ttrpc", "--grpc")
    return Said(socket_name(path))


def _gvisor(command: Sequence[str]) -> Said:
    # "runsc-sandbox ... boot ... ID". Source: gVisor, runsc/cmd/boot.go, Usage().
    return Said(command[-1] if "boot" in command[:-1] and not command[-1].startswith("-") else "")


def _virtualbox(command: Sequence[str]) -> Said:
    # VBoxManage starts a VM by its UUID, and gives its name as a comment for those who look at processes.
    machine = option(command, "--startvm", "-startvm", "-s")
    return Said(option(command, "--comment", "-comment") or machine, machine)


def _dragonball(command: Sequence[str]) -> Said:
    # containerd's shims: "-id ID". Source: containerd, core/runtime/v2/README.md.
    return Said(option(command, "-id", "--id"))


_READERS: Mapping[str, Callable[[Sequence[str]], Said]] = {
    "qemu": _qemu,
    "firecracker": _firecracker,
    "cloud-hypervisor": _cloud_hypervisor,
    "crosvm": _crosvm,
    "kvmtool": _kvmtool,
    # QEMU's syntax. Source: StratoVirt, docs/config_guidebook.md.
    "stratovirt": _qemu,
    "openvmm": _openvmm,
    "gvisor": _gvisor,
    "virtualbox": _virtualbox,
    "dragonball": _dragonball,
}
