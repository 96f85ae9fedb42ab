# SPDX-License-Identifier: Apache-2.0
"""Reading a VMM's command line: the option syntaxes of several programs."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

_GENERIC = frozenset(
    (
        *("api", "api-socket", "ch", "ch-api", "clh-api", "cloud-hypervisor", "control", "crosvm"),
        *("crosvm_control", "fc", "firecracker", "hypervisor", "monitor", "openvmm", "qmp", "rpc", "sock"),
        *("socket", "ttrpc", "vm", "vmm"),
        *("config", "fc_config", "fc-config", "firecracker-config", "vm-config", "vm_config", "vmconfig"),
        *("cache", "etc", "internal", "opt", "root", "run", "srv", "tmp", "var"),
    )
)
"""Names of sockets and settings, and of the folders they lie in, that say nothing about the VM."""


def option(command: Sequence[str], *names: str, texts: Collection[str] = ()) -> str:
    """Return the value that an option has last; empty where it does not occur.

    Both ``--name value`` and ``--name=value`` are read. Options end at a lone ``--``.
    """
    value = ""
    for found in options(command, *names, texts=texts):
        value = found
    return value


def options(command: Sequence[str], *names: str, texts: Collection[str] = ()) -> Iterator[str]:
    """Yield an option's values in order, under any of its names.

    :param texts: options whose value is a text, which may look like an option
    """
    arguments = iter(command[1:])
    for argument in arguments:
        if argument == "--":
            return
        if argument in names:
            yield next(arguments, "")
            continue
        if argument in texts:
            next(arguments, "")
            continue
        name, equals, value = argument.partition("=")
        if equals and name in names:
            yield value


def qemu_pairs(value: str, implied: str = "") -> dict[str, str]:
    """Read QEMU's ``key=value,key=value``, in which a comma inside a value is doubled; the last value counts.

    :param implied: the key of a first item that has none

    Source: QEMU, "Invocation", and util/qemu-option.c, get_opt_name_value().
    """
    pairs = {}
    for position, item in enumerate(re.findall(r"(?:[^,]|,,)+", value)):
        key, equals, text = item.partition("=")
        if not equals and position == 0 and implied:
            key, text = implied, item
        pairs[key] = text.replace(",,", ",")
    return pairs


def bracketed_pairs(value: str) -> dict[str, str]:
    """Read cloud-hypervisor's ``key=value,key=[a,b],key="c,d"``; items without ``=`` are left out."""
    items = re.findall(r'(?:\[[^\]]*\]|"[^"]*"|[^,])+', value)
    split = (item.partition("=") for item in items)
    return {key: text.strip('"') for key, equals, text in split if equals}


def socket_name(path: str) -> str:
    """Name a VM after its socket or its settings' file, else the folder of that; empty if neither has one."""
    parsed = PurePosixPath(path)
    for candidate in (parsed.stem, parsed.parent.name):
        if candidate and candidate.lower() not in _GENERIC:
            return candidate
    return ""
