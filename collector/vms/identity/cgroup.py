# SPDX-License-Identifier: Apache-2.0
"""What a VMM's cgroup path says about its VM. Version 1 and 2, with and without systemd.

All functions take the text of /proc/PID/cgroup (``id:controllers:path`` a line).
"""

import re
from collections.abc import Iterator

_SCOPE = re.compile(r"machine-(?P<escaped>[^/]+)\.scope")
_MACHINE = re.compile(r"(?:qemu|ch)-\d+-(?P<name>.+)")
_WITHOUT_SYSTEMD = re.compile(r"(?:qemu|ch)-\d+-(?P<name>.+)\.libvirt-(?:qemu|ch)")
_KATA = re.compile(r"kata_(?P<id>[0-9A-Za-z][0-9A-Za-z_.-]*)")
_KUBERNETES = re.compile(r"kubepods\b")
_JAIL = re.compile(r"/firecracker[^/]*/(?P<id>[^/]+)/?$")


def libvirt_name(cgroup: str) -> str:
    """Return the domain's name as libvirt's cgroup has it; empty where it is not libvirt's.

    The name is lossy: libvirt drops characters outside [A-Za-z0-9.-] and cuts at 64.
    Source: libvirt, src/util/virsystemd.c, virSystemdMakeScopeName().
    """
    for part in _components(cgroup):
        scope = _SCOPE.fullmatch(part)
        machine = _MACHINE.fullmatch(_systemd_unescape(scope["escaped"])) if scope else None
        found = machine or _WITHOUT_SYSTEMD.fullmatch(part)
        if found:
            return found["name"]
    return ""


def kata_sandbox(cgroup: str) -> str:
    """Return the id of Kata's sandbox; empty where the cgroup is not one of Kata's."""
    after_overhead = False
    for part in _components(cgroup):
        found = _KATA.fullmatch(part)
        if found and found["id"] != "overhead":
            return found["id"]
        if after_overhead:
            return part
        after_overhead = part == "kata_overhead"
    return ""


def is_kubernetes(cgroup: str) -> bool:
    """Return whether the process runs in a Kubernetes pod."""
    return any(_KUBERNETES.match(part) for part in _components(cgroup))


def jail_name(cgroup: str) -> str:
    """Return ``<id>`` of ``firecracker/<id>``, which Firecracker's jailer makes by default; else empty.

    Source: Firecracker, docs/jailer.md, --parent-cgroup.
    """
    for path in _paths(cgroup):
        found = _JAIL.search(path)
        if found:
            return found["id"]
    return ""


def _paths(cgroup: str) -> Iterator[str]:
    for line in cgroup.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            yield fields[2]


def _components(cgroup: str) -> Iterator[str]:
    for path in _paths(cgroup):
        yield from path.split("/")


def _systemd_unescape(text: str) -> str:
    # systemd.unit(5): "/" is written "-", other special bytes as \xNN.
    def byte(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else "/"

    unescaped = re.sub(r"\\x([0-9a-fA-F]{2})|-", byte, text)
    # Bytes above 0x7f were escaped one by one; together they are UTF-8 again.
    return unescaped.encode("latin-1", "replace").decode("utf-8", "replace")
