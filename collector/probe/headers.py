# SPDX-License-Identifier: Apache-2.0
"""Makes a header tree for BCC from the running kernel's own BTF: no kernel headers are needed.

BCC compiles against whatever ``BCC_KERNEL_SOURCE`` names and wants a few headers there by name. The types
come from ``bpftool btf dump``: the real layout of this kernel, so no field offset is ever assumed.
"""

import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from collector.errors import ProbeError

BTF_DIRECTORY = Path("/sys/kernel/btf")

_FACTS = "facts.h"
_CONTENT = "content"
"""Written last, with the digest of the types: a tree that has it is complete."""
_FACT_LINES = (
    "} memory_fault;",
    "VCPU_REGS_RIP = ",
    "u64 guest_mode;",
    "u64 pf_taken;",
    "u64 blocking;",
    "bool guest_state_protected;",
    "struct kvm_s2_mmu *nested_mmus;",
    "struct kvm_s2_mmu **nested_mmus;",
    "short unsigned int migration_disabled;",
    "unsigned short migration_disabled;",
    "struct hlist_head id_hash[",
    "atomic64_t pages_4k;",
    "struct userfaultfd_ctx *ctx;",
    "u64 last_used_slot_gen;",
    "} gmem;",
    "struct percpu_counter used_blocks;",
    "long unsigned int mmu_invalidate_seq;",
    "unsigned long mmu_invalidate_seq;",
)
_WHOLE = ("struct kvm_page_fault {", "struct mutex {")
_CHUNK_BYTES = 1 << 20

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
/* BCC declares these helpers whatever the kernel has (6.2 and later); not called here. */
#define BPF_FUNC_cgrp_storage_get BPF_FUNC_unspec
#define BPF_FUNC_cgrp_storage_delete BPF_FUNC_unspec
"""


def ensure_headers(cache: Path) -> Path:
    """Return a header tree for the running kernel, made now unless the cache has it.

    :param cache: directory for the trees of every kernel seen; created if missing
    :raises ProbeError: BTF or bpftool is missing, or the cache cannot be written
    """
    sources = _btf_sources()
    tree = cache / _fingerprint(sources)
    if (tree / _CONTENT).exists():
        return tree
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Made beside it, so that another collector never compiles with a part of it.
        with tempfile.TemporaryDirectory(prefix=f"{tree.name}-", dir=cache) as made:
            _write_tree(Path(made) / tree.name, sources)
            _put_in_place(Path(made) / tree.name, tree)
    except OSError as exc:
        raise ProbeError(f"cannot write the BPF headers to {tree}: {exc.strerror}") from exc
    return tree


def content_of(tree: Path) -> str:
    """Return a digest of a tree's types. :raises OSError: it cannot be read"""
    return (tree / _CONTENT).read_text()


def read_facts(tree: Path) -> str:
    """Return the lines of the kernel's types that ``plan`` reads. All types would take too much memory.

    :raises ProbeError: the tree cannot be read
    """
    try:
        return (tree / _FACTS).read_text()
    except OSError as exc:
        raise ProbeError(f"cannot read the BPF headers in {tree}: {exc.strerror}", "remove it") from exc


def find_bpftool() -> str | None:
    """Return bpftool's path, also where PATH lacks the system's folders; None where it is missing."""
    return shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")


def _btf_sources() -> tuple[Path, ...]:
    """The kernel's BTF, and KVM's where it is a module."""
    base = BTF_DIRECTORY / "vmlinux"
    if not base.exists():
        raise ProbeError(
            f"{base} is missing: this kernel was built without BTF",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
        )
    module = BTF_DIRECTORY / "kvm"
    return (base, module) if module.exists() else (base,)


def _fingerprint(sources: tuple[Path, ...]) -> str:
    # The tree's content is part of its name: a later version, which needs other content, makes its own tree.
    digest = hashlib.sha256(f"{platform.version()}\n{_KCONFIG}\n{_FACT_LINES}{_WHOLE}".encode())
    for source in sources:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return f"{platform.release()}-{digest.hexdigest()[:16]}"


def _write_tree(tree: Path, sources: tuple[Path, ...]) -> None:
    include = tree / "include"
    for name in _EMPTY:
        _write(include / name, "")
    _dump(sources, include / "vmlinux.h")
    with (include / "vmlinux.h").open() as types:
        _write(tree / _FACTS, "".join(plan_facts(types)))
    _write(include / "linux" / "kconfig.h", _KCONFIG)
    _write(
        include / "linux" / "version.h",
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n#define LINUX_VERSION_CODE 0\n",
    )
    _write(include / "asm" / "page.h", "#define PAGE_SIZE 4096\n")
    content = hashlib.sha256((include / "vmlinux.h").read_bytes()).hexdigest()
    _write(tree / _CONTENT, content)


def _put_in_place(made: Path, tree: Path) -> None:
    try:
        made.rename(tree)
    except OSError:
        if (tree / _CONTENT).exists():
            # Another collector was faster.
            return
        # An earlier version, which was killed while it wrote it.
        shutil.rmtree(tree)
        made.rename(tree)


def _dump(sources: tuple[Path, ...], path: Path) -> None:
    tool = find_bpftool()
    if tool is None:
        raise ProbeError("bpftool is missing", "install the package bpftool")
    command = [tool, "btf", "dump", "file", str(sources[-1]), "format", "c"]
    if len(sources) > 1:
        command[1:1] = ["-B", str(sources[0])]
    with path.open("w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ProbeError(f"bpftool cannot read {sources[-1]}: {done.stderr.strip()}")


def plan_facts(types: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a kernel's types that ``plan`` looks at."""
    within = False
    for line in types:
        within = within or line.startswith(_WHOLE)
        if within or line.startswith("typedef void (*btf_trace_") or line.strip().startswith(_FACT_LINES):
            yield line
        within = within and not line.startswith("};")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
