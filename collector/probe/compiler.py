# SPDX-License-Identifier: Apache-2.0
"""Compiles the programs, in a process of its own. The only module that imports bcc.

    python -m collector.probe.compiler SOCKET_FD

The compiler takes a hundred megabytes and is needed once. This process answers each order that comes over
the socket (``compiler_process``) with the bytecode, and ends when the socket is closed. BCC also makes the
maps. What they are is read back from the kernel, and they go with this process.
"""

import ctypes
import os
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from collector.errors import ProbeError
from collector.probe import compiled, syscall
from collector.probe.bytecode import (
    Bytecode,
    FileIdentity,
    MapDefinition,
    Program,
    by_name,
    identities,
)
from collector.probe.compiler_process import Answer, Order, receive, send
from collector.probe.layout import (
    CONCERNS,
    COUNTS,
    FORMATS,
    LAYOUT_MAP,
    MEANINGS,
    PROGRAMS_OF_STALLS,
    RECORD_TYPES,
    STALLS,
)
from collector.probe.needed_types import COMPILER_WORDS, needed_types, words_of
from collector.probe.sides import RAW_SIDE_ALONE

_BCC_REMEDY = "install the distribution's python3-bpfcc; PyPI's bcc is another package"
_KIND_TYPEDEF, _KIND_FUNCTION = 8, 12
_PERF = "perf_"
_TYPED = "-DTYPED_ARGUMENTS"
_DIALECT = ("-fms-extensions", "-Wno-microsoft-anon-tag")
"""As kernels since 6.19 are compiled: a struct may have another one as a member without a name."""


@dataclass(frozen=True, slots=True)
class _Type:
    """A type's BTF id, and whether it is one of KVM's module."""

    id: int
    is_in_module: bool


_NO_TYPE = _Type(0, is_in_module=False)


def main() -> int:
    """Answer orders until the socket is closed."""
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        while (asked := receive(channel)) is not None:
            try:
                answer = Answer(compile_order(msgspec.msgpack.decode(asked, type=Order)))
            except ProbeError as exc:
                answer = Answer(None, exc.found, exc.remedy)
            send(channel, msgspec.msgpack.encode(answer))
    return 0


def compile_order(order: Order) -> Bytecode:
    """Compile a text.

    :raises ProbeError: BCC is missing, or cannot compile it
    """
    _import_bcc()
    types = _types(order) if order.is_typed else None
    flags = [*order.flags, *([_TYPED] if types is not None else [])]
    with tempfile.TemporaryDirectory(prefix="kvmfaults-") as directory:
        headers = Path(order.headers)
        if order.picks_types:
            headers = _only_needed(headers, order.text, Path(directory))
        module = _compile(order.text, flags, headers)
    return _bytecode(module, order, types)


def bcc_version() -> str:
    """Return BCC's version. :raises ProbeError: it is not installed"""
    return str(_import_bcc().__version__)


def _only_needed(headers: Path, text: str, directory: Path) -> Path:
    """Make a header tree with the types that the programs need, few of all: BCC compiles faster."""
    shutil.copytree(headers, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("vmlinux.h"))
    whole = (headers / "include" / "vmlinux.h").read_text()
    needed = needed_types(whole, {*words_of(text), *COMPILER_WORDS})
    (directory / "include" / "vmlinux.h").write_text(needed)
    return directory


def _bytecode(module: Any, order: Order, types: Mapping[str, _Type] | None) -> Bytecode:
    fds = dict(_map_fds(module))
    names = {fd: name for name, fd in fds.items()}
    programs: dict[str, Program] = {}

    def add(
        handle: str,
        function: str,
        tracepoint: str,
        kind: int,
        of: _Type = _NO_TYPE,
        attach_type: int = syscall.ATTACH_RAW_TRACEPOINT,
    ) -> None:
        try:
            instructions, uses = by_name(module.dump_func(function.encode()), names)
        except ValueError as exc:
            raise ProbeError(f"the program {function} cannot be loaded: {exc}") from exc
        programs[handle] = Program(tracepoint, kind, instructions, uses, of.id, of.is_in_module, attach_type)

    for tracepoint, name in zip(order.tracepoints, order.names, strict=True):
        if order.has_both_sides and name not in RAW_SIDE_ALONE:
            add(f"{_PERF}{name}", f"{_PERF}{name}", tracepoint, syscall.PROG_TRACEPOINT)
        add(name, f"on_{name}", tracepoint, syscall.PROG_RAW_TRACEPOINT, (types or {}).get(name, _NO_TYPE))
    for name in order.looks:
        add(name, f"look_{name}", name, syscall.PROG_RAW_TRACEPOINT)
    for name in order.iterators:
        if types is None:
            raise ProbeError(f"the kernel's types show no iterator over {name}")
        add(name, f"iterate_{name}", name, syscall.PROG_TRACING, types[name], syscall.ATTACH_ITERATOR)
    used = {name for program in programs.values() for _, name in program.uses}
    return Bytecode(
        maps={name: _definition(fds[name]) for name in sorted({*used, *order.maps})},
        programs=programs,
        layout=layout_of(module, list(order.tracepoints)) if LAYOUT_MAP in order.maps else None,
        compiler=_own_files(),
    )


def _map_fds(module: Any) -> Iterator[tuple[str, int]]:
    """Yield the maps' names and file descriptors. The kernel knows 15 bytes of a name only."""
    library = _import_bcc().lib
    for index in range(library.bpf_num_tables(module.module)):
        name = ctypes.string_at(library.bpf_table_name(module.module, index)).decode()
        yield name, int(module[name.encode()].map_fd)


def _definition(fd: int) -> MapDefinition:
    info = syscall.map_info(fd)
    return MapDefinition(
        kind=info.kind,
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=info.flags,
        name=info.name.decode(),
    )


def _own_files() -> tuple[FileIdentity, ...]:
    """The files of BCC and of every library that this process has loaded: clang's and LLVM's among them."""
    package = [
        module.__file__
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "bcc" and module.__file__ is not None
    ]
    mapped = [line.split(maxsplit=5)[5:] for line in Path("/proc/self/maps").read_text().splitlines()]
    return identities([*package, *(path for one in mapped for path in one if ".so" in path)])


def layout_of(module: Any, attach: list[str]) -> compiled.Layout:
    """Return how the compiler laid out the maps of the compiled programs.

    :param attach: the tracepoints
    """

    names = [name.partition(":")[2] for name in attach]

    def types(name: str) -> tuple[Any, Any]:
        table = module[name.encode()]
        value = module[RECORD_TYPES[name].encode()] if name in RECORD_TYPES else table
        return table.Key, value.Leaf

    return compiled.describe(
        {name: {one: types(one) for one in maps} for name, maps in CONCERNS.items()},
        MEANINGS,
        {
            COUNTS: tuple(name for name in names if name not in PROGRAMS_OF_STALLS),
            STALLS: tuple(name for name in names if name in PROGRAMS_OF_STALLS),
        },
        FORMATS,
    )


def _compile(text: str, flags: list[str], headers: Path) -> Any:
    bcc = _import_bcc()
    # BCC reads this when it compiles; there is no argument for it.
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    try:
        return bcc.BPF(text=text.encode(), cflags=[*flags, *_DIALECT])
    except Exception as exc:  # BCC raises nothing narrower
        raise ProbeError(f"BCC cannot compile the programs for this kernel: {exc}") from exc


def _import_bcc() -> Any:
    try:
        with warnings.catch_warnings():
            # Debian's has invalid escapes in its sources.
            warnings.simplefilter("ignore")
            import bcc
    # OSError: the package is there, but not the library that it loads.
    except (ImportError, OSError) as exc:
        raise ProbeError(f"BCC is missing ({exc})", _BCC_REMEDY) from exc
    if not hasattr(bcc, "BPF"):
        raise ProbeError("the Python package bcc is not BCC's", _BCC_REMEDY)
    return bcc


def _types(order: Order) -> dict[str, _Type] | None:
    """The types of all that programs are for, by name; None if one of them cannot be had or used."""
    try:
        libbpf = ctypes.CDLL("libbpf.so.1")
    except OSError:
        return None
    libbpf.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    libbpf.btf__load_module_btf.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    libbpf.btf__load_module_btf.restype = ctypes.c_void_p
    libbpf.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    kernel = libbpf.btf__load_vmlinux_btf()
    if not kernel:
        return None
    wanted = {name: (f"btf_trace_{name}", _KIND_TYPEDEF) for name in order.names}
    wanted |= {name: (f"bpf_iter_{name}", _KIND_FUNCTION) for name in order.iterators}

    def among(btf: int, names: Iterable[str], *, is_in_module: bool) -> dict[str, _Type]:
        numbers = {
            name: libbpf.btf__find_by_name_kind(btf, wanted[name][0].encode(), wanted[name][1])
            for name in names
        }
        return {name: _Type(number, is_in_module) for name, number in numbers.items() if number > 0}

    found = among(kernel, wanted, is_in_module=False)
    missing = wanted.keys() - found.keys()
    if missing and (module := libbpf.btf__load_module_btf(b"kvm", kernel)):
        found |= among(module, missing, is_in_module=True)
    return found if found.keys() == wanted.keys() else None


if __name__ == "__main__":
    sys.exit(main())
