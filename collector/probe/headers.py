"""A header tree for BCC made from the running kernel's own BTF: no kernel headers are needed.

BCC compiles against whatever ``BCC_KERNEL_SOURCE`` names and wants a few headers there by name. The types
come from ``bpftool btf dump``: the real layout of this kernel, so no field offset is ever assumed.
"""

import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

from collector.errors import ProbeError

BTF_DIRECTORY = Path("/sys/kernel/btf")

_EMPTY = (
    "linux/types.h",
    "linux/bpf_common.h",
    "linux/log2.h",
    "uapi/linux/bpf.h",
    "uapi/linux/if_ether.h",
    "uapi/linux/if_packet.h",
    "uapi/linux/ptrace.h",
)

_KCONFIG = """\
#pragma once
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_PERF_EVENTS 1
/* BCC compiles for the running kernel: there is nothing to relocate. */
#define BPF_NO_PRESERVE_ACCESS_INDEX
/* Keep BCC's own copy of the BPF header from clashing with the types below. */
#define _UAPI__LINUX_BPF_H__
#define __LINUX_BPF_H__
/* Macros are not in BTF. */
#define NULL ((void *)0)
#define __always_inline inline __attribute__((always_inline))
#include <vmlinux.h>
"""


def ensure_headers(cache: Path) -> Path:
    """Return a header tree for the running kernel, made now unless the cache has it.

    :param cache: directory for the trees of every kernel seen; created if missing
    :raises ProbeError: BTF or bpftool is missing, or the cache cannot be written
    """
    sources = _btf_sources()
    tree = cache / _fingerprint(sources)
    if (tree / "complete").exists():
        return tree
    try:
        _write_tree(tree, _dump(sources))
    except OSError as exc:
        raise ProbeError(f"cannot write the BPF headers to {tree}: {exc.strerror}") from exc
    return tree


def find_bpftool() -> str | None:
    """Return bpftool's path, also where PATH lacks the system's folders; None where it is missing."""
    return shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")


def _btf_sources() -> tuple[Path, ...]:
    """The kernel's BTF, and KVM's where it is a module."""
    base = BTF_DIRECTORY / "vmlinux"
    if not base.exists():
        raise ProbeError(
            f"{base} is missing: this kernel was built without BTF; use a kernel with CONFIG_DEBUG_INFO_BTF=y"
        )
    module = BTF_DIRECTORY / "kvm"
    return (base, module) if module.exists() else (base,)


def _fingerprint(sources: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(platform.version().encode())
    for source in sources:
        digest.update(source.read_bytes())
    return f"{platform.release()}-{digest.hexdigest()[:16]}"


def _dump(sources: tuple[Path, ...]) -> str:
    tool = find_bpftool()
    if tool is None:
        raise ProbeError("bpftool is missing: install the package bpftool")
    command = [tool, "btf", "dump", "file", str(sources[-1]), "format", "c"]
    if len(sources) > 1:
        command[1:1] = ["-B", str(sources[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProbeError(f"bpftool cannot read {sources[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _write_tree(tree: Path, vmlinux: str) -> None:
    include = tree / "include"
    for name in _EMPTY:
        _write(include / name, "")
    _write(include / "vmlinux.h", vmlinux)
    _write(include / "linux" / "kconfig.h", _KCONFIG)
    _write(
        include / "linux" / "version.h",
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n#define LINUX_VERSION_CODE 0\n",
    )
    _write(include / "asm" / "page.h", "#define PAGE_SIZE 4096\n")
    _write(tree / "complete", "")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
