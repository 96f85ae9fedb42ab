# SPDX-License-Identifier: Apache-2.0
"""Compiles and loads the programs, in a process of its own. The only module that imports bcc.

    python -m collector.probe.loader SOCKET_FD < request.json

The compiler takes a hundred megabytes and is needed once: this process hands the file descriptors of what it
made to its parent over a socket and ends. Kernel objects live as long as anyone holds them.
"""

import ctypes
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.errors import ProbeError
from collector.probe import compiled, syscall
from collector.probe.layout import CONCERNS, COUNTS, FORMATS, LAYOUT_MAP, MEANINGS, RECORD_TYPES
from collector.probe.needed_types import COMPILER_WORDS, needed_types, words_of
from collector.probe.sides import Sides
from collector.probe.views import Views, fits

_BCC_REMEDY = "install the distribution's python3-bpfcc; PyPI's bcc is another package"
_KIND_TYPEDEF = 8
_PREEMPTION = Path(__file__).parent / "bpf" / "preemption.bpf.c"
_IF_ANSWERED = "-DHAVE_MIGRATION_DISABLED"
_PREEMPTIBLE = "-DPREEMPTIBLE"
_STARTED_BY_A_THREAD = "task_newtask"
_CAN_BE_PREEMPTED = 2
_PERF = "perf_"
_DIALECT = ("-fms-extensions", "-Wno-microsoft-anon-tag")
"""As kernels since 6.19 are compiled: a struct may have another one as a member without a name."""


@dataclass(frozen=True, slots=True)
class _Types:
    """BTF ids of the tracepoints' types, by tracepoint; ``btf_fd`` is of KVM's module, 0 where built in."""

    ids: dict[str, int]
    btf_fd: int


def main() -> int:
    """Serve one request. An error is sent as the answer."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    request = json.load(sys.stdin)
    fds: dict[str, int] = {}
    error = lacking = ""
    try:
        fds, lacking = load(
            request["text"],
            request["flags"],
            request["headers"],
            request["attach"],
            request["generation_fd"],
            request["types_fd"],
            request["no_events"],
            Sides(request["sides"]),
        )
    except ProbeError as exc:
        error = str(exc)
    answer = {"names": list(fds), "error": error, "lacking": lacking}
    socket.send_fds(channel, [json.dumps(answer).encode()], list(fds.values()))
    return 0


def load(
    text: str,
    flags: list[str],
    headers: str,
    attach: list[str],
    generation_fd: int | None,
    types_fd: int | None,
    no_events: str,
    sides: Sides,
) -> tuple[dict[str, int], str]:
    """Compile and load the programs.

    :param attach: the tracepoints
    :param generation_fd: the map ``active_generation`` of the set that these programs take over from
    :param types_fd: BTF of the module that has the tracepoints, where this process may not open it
    :param no_events: as ``events.why_not`` says
    :return: file descriptors by name (``map/...``, ``program/...``), and ``Handles.lacking``
    :raises ProbeError: BCC is missing, or the kernel refuses a program
    """
    _import_bcc()
    types = _types([name.partition(":")[2] for name in attach], types_fd)
    with tempfile.TemporaryDirectory(prefix="kvmfaults-") as directory:
        needed = _only_needed(Path(headers), text + _PREEMPTION.read_text(), Path(directory))
        lacking = ""
        if sides is Sides.BOTH or (sides is Sides.AS_NEEDED and _are_preemptible(flags, needed)):
            lacking = no_events
            flags = flags if lacking else [*flags, _PREEMPTIBLE]
        try:
            if types is not None:
                module = _compile(text, [*flags, "-DTYPED_ARGUMENTS"], needed)
            else:
                module = _compile(text, flags, needed)
            return _load(module, flags, attach, types, generation_fd), lacking
        except ProbeError:
            # A compiler that needs more types than were picked, or a verifier that knows less: arguments
            # are read by a helper instead, which is slower.
            module = _compile(text, flags, Path(headers))
            return _load(module, flags, attach, None, generation_fd), lacking


def _are_preemptible(flags: list[str], headers: Path) -> bool:
    """Find out whether programs on raw tracepoints can be preempted here (preemption.bpf.c)."""
    if _IF_ANSWERED not in flags:
        return False
    try:
        module = _compile(_PREEMPTION.read_text(), [], headers)
        name = _STARTED_BY_A_THREAD
        program = syscall.load_program(module.dump_func(f"on_{name}".encode()), name)
    except (ProbeError, OSError):
        return False
    try:
        link = syscall.attach(program, name)
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        os.close(link)
    except OSError:
        return False
    finally:
        os.close(program)
    answer = syscall.lookup(syscall.open_map(module[b"preemption"].map_fd), bytes(4))
    return answer == struct.pack("=I", _CAN_BE_PREEMPTED)


def _only_needed(headers: Path, text: str, directory: Path) -> Path:
    """Make a header tree with the types that the programs need, few of all: BCC compiles faster."""
    shutil.copytree(headers, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("vmlinux.h"))
    whole = (headers / "include" / "vmlinux.h").read_text()
    needed = needed_types(whole, {*words_of(text), *COMPILER_WORDS})
    (directory / "include" / "vmlinux.h").write_text(needed)
    return directory


def bcc_version() -> str:
    """Return BCC's version. :raises ProbeError: it is not installed"""
    return str(_import_bcc().__version__)


def _load(
    module: Any, flags: list[str], attach: list[str], types: _Types | None, generation_fd: int | None
) -> dict[str, int]:
    names = [LAYOUT_MAP, *(name for maps in CONCERNS.values() for name in maps)]
    fds = {f"map/{name}": int(module[name.encode()].map_fd) for name in names}
    layout = layout_of(module, attach)
    _check_own(layout, fds)
    compiled.write(syscall.open_map(fds[f"map/{LAYOUT_MAP}"]), layout)
    unshared_fd = fds["map/active_generation"]
    if generation_fd is not None:
        fds["map/active_generation"] = generation_fd

    def instructions(function: str) -> bytes:
        return syscall.with_map(
            module.dump_func(function.encode()), unshared_fd, fds["map/active_generation"]
        )

    for tracepoint in attach:
        name = tracepoint.partition(":")[2]
        typed = {} if types is None else {"type_id": types.ids[name], "btf_fd": types.btf_fd}
        try:
            if _PREEMPTIBLE in flags:
                fds[f"program/{_PERF}{name}"] = syscall.load_program(
                    instructions(f"{_PERF}{name}"), f"{_PERF}{name}", kind=syscall.PROG_TRACEPOINT
                )
            fds[f"program/{name}"] = syscall.load_program(instructions(f"on_{name}"), name, **typed)
        except OSError as exc:
            _close(fds)
            raise ProbeError(f"the kernel refuses the program for {tracepoint}: {exc.strerror}") from exc
    return fds


def layout_of(module: Any, attach: list[str]) -> compiled.Layout:
    """Return how the compiler laid out the maps of the compiled programs.

    :param attach: the tracepoints
    """

    def types(name: str) -> tuple[Any, Any]:
        table = module[name.encode()]
        value = module[RECORD_TYPES[name].encode()] if name in RECORD_TYPES else table
        return table.Key, value.Leaf

    return compiled.describe(
        {name: {one: types(one) for one in maps} for name, maps in CONCERNS.items()},
        MEANINGS,
        {COUNTS: tuple(name.partition(":")[2] for name in attach)},
        FORMATS,
    )


def _check_own(layout: compiled.Layout, fds: dict[str, int]) -> None:
    """Check the programs against this version's views. Only sets of other versions may differ from those.

    :raises ProbeError: they differ
    """
    if lacking := Views(layout).lacking():
        raise ProbeError(f"the programs' own maps lack {', '.join(lacking)}")
    unlike = [
        name
        for maps in CONCERNS.values()
        for name in maps
        if not fits(layout, name, syscall.open_map(fds[f"map/{name}"]))
    ]
    if unlike:
        raise ProbeError(f"the compiler and the kernel disagree on {', '.join(unlike)}")


def _close(fds: dict[str, int]) -> None:
    for name, fd in fds.items():
        # Maps belong to BCC's module, which closes them.
        if not name.startswith("map/"):
            os.close(fd)


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


def _types(tracepoints: list[str], types_fd: int | None) -> _Types | None:
    """The tracepoints' types in BTF; None where they cannot be had or used."""
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
    ids = _ids(libbpf, kernel, tracepoints)
    if ids is not None:
        return _Types(ids, 0)
    module = libbpf.btf__load_module_btf(b"kvm", kernel)
    ids = _ids(libbpf, module, tracepoints) if module else None
    try:
        btf_fd = syscall.module_btf("kvm") if types_fd is None and ids is not None else types_fd
    except PermissionError:
        return None
    return None if ids is None or btf_fd is None else _Types(ids, btf_fd)


def _ids(libbpf: Any, btf: int, tracepoints: list[str]) -> dict[str, int] | None:
    found = {
        name: int(libbpf.btf__find_by_name_kind(btf, f"btf_trace_{name}".encode(), _KIND_TYPEDEF))
        for name in tracepoints
    }
    return found if all(number > 0 for number in found.values()) else None


if __name__ == "__main__":
    sys.exit(main())
