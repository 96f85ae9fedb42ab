# SPDX-License-Identifier: Apache-2.0
"""The bpf(2) system call: what the collector needs of it once the programs are compiled.

Numbers: include/uapi/linux/bpf.h (6.18); they are the kernel's stable interface.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from collector.probe.bpf_attr import (
    BtfInfo,
    EnableStats,
    Id,
    InfoRequest,
    Instruction,
    IteratorCreate,
    IteratorLink,
    LinkCreate,
    MapBatch,
    MapCreate,
    MapElement,
    MapInfo,
    Object,
    PerfEvent,
    ProgramInfo,
    ProgramLoad,
    RawTracepoint,
    TaskOfIterator,
    TestRun,
)

_NO_SYSCALL = -1
"""The kernel answers ENOSYS."""
_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}.get(platform.machine(), _NO_SYSCALL)
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241}.get(platform.machine(), _NO_SYSCALL)
_TRACEPOINT_EVENT = 2
_DISABLED = 1
_CLOSE_ON_EXEC = 8
_ONLINE_CPUS = Path("/sys/devices/system/cpu/online")
_BATCH_BYTES = 512 * 1024
_FIRST_BATCH = 64
_GROWTH = 8
_ITERATOR_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class _Command(IntEnum):
    MAP_CREATE = 0
    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    MAP_DELETE = 3
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    OBJ_GET_INFO = 15
    RAW_TRACEPOINT_OPEN = 17
    BTF_GET_FD_BY_ID = 19
    BTF_GET_NEXT_ID = 23
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    LINK_CREATE = 28
    ENABLE_STATS = 32
    ITER_CREATE = 33


PROG_TRACEPOINT = 5
PROG_RAW_TRACEPOINT = 17
PROG_TRACING = 26
ATTACH_RAW_TRACEPOINT = 23
ATTACH_ITERATOR = 28
ATTACH_PERF_EVENT = 41


@dataclass(frozen=True, slots=True)
class Map:
    """A map, by its file descriptor. Sizes are in bytes."""

    fd: int
    key_size: int
    value_size: int
    max_entries: int


def open_map(fd: int) -> Map:
    """Return the map behind a file descriptor. :raises OSError: it is none"""
    info = map_info(fd)
    return Map(fd, info.key_size, info.value_size, info.max_entries)


def create_map(
    kind: int, *, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = ""
) -> int:
    """Make a map and return its file descriptor. Sizes are in bytes.

    :param kind: BPF_MAP_TYPE_*
    :raises OSError: the kernel refuses
    """
    attr = MapCreate(
        kind=kind,
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        flags=flags,
        name=name.encode(),
    )
    return _bpf(_Command.MAP_CREATE, attr)


def map_info(fd: int) -> MapInfo:
    """Return what the kernel knows of a map. :raises OSError: it is none"""
    info = MapInfo()
    _get_info(fd, info)
    return info


@dataclass(frozen=True, slots=True)
class Runs:
    """What the kernel knows of a program's runs.

    ``time_ns`` and ``count`` grow only while run times are measured. ``missed``: runs that the kernel
    skipped, because the program was already running on that CPU.
    """

    time_ns: int
    count: int
    missed: int


def program_runs(fd: int) -> Runs:
    """Return a program's runs; 0 for what this kernel does not count. :raises OSError: it is no program"""
    info = ProgramInfo()
    _get_info(fd, info)
    return Runs(info.run_time_ns, info.run_count, info.recursion_misses)


def program_kind(fd: int) -> int:
    """Return a program's type: one of PROG_*. :raises OSError: it is no program"""
    info = ProgramInfo()
    _get_info(fd, info)
    return int(info.kind)


def lookup(table: Map, key: bytes) -> bytes | None:
    """Return a key's value, None where there is none. :raises OSError: the kernel refuses"""
    value = ctypes.create_string_buffer(table.value_size)
    try:
        _element(_Command.MAP_LOOKUP, table, key, value)
    except FileNotFoundError:
        return None
    return value.raw


def update(table: Map, key: bytes, value: bytes) -> None:
    """Set a key's value. :raises OSError: the kernel refuses"""
    _element(_Command.MAP_UPDATE, table, key, ctypes.create_string_buffer(value, len(value)))


def delete(table: Map, key: bytes) -> None:
    """Delete a key, if it is there. :raises OSError: the kernel refuses"""
    try:
        _element(_Command.MAP_DELETE, table, key, None)
    except FileNotFoundError:
        return


def entries(table: Map) -> Iterator[tuple[bytes, bytes]]:
    """Yield every key and value of a hash map, read with batched system calls.

    :raises OSError: the kernel refuses
    """
    return entries_of(table, blocks(table))


def entries_of(table: Map, read: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield every key and value of blocks that were read."""
    key_size, value_size = table.key_size, table.value_size
    for keys, values in read:
        for index in range(len(keys) // key_size):
            yield (
                keys[index * key_size : (index + 1) * key_size],
                values[index * value_size : (index + 1) * value_size],
            )


def blocks(table: Map) -> Iterator[tuple[bytes, bytes]]:
    """Yield a hash map's keys and values, many of each in a row. The order is the same until a key is added.

    :raises OSError: the kernel refuses
    """
    key_size, value_size = table.key_size, table.value_size
    most = min(table.max_entries, max(_FIRST_BATCH, _BATCH_BYTES // (key_size + value_size)))
    # Most maps have few entries or none, and a large buffer takes longer to make than they to read.
    batch = min(table.max_entries, _FIRST_BATCH)
    cursor = ctypes.c_uint32()
    first = True
    while True:
        keys = ctypes.create_string_buffer(key_size * batch)
        values = ctypes.create_string_buffer(value_size * batch)
        count, code = _lookup_batch(table, cursor, keys, values, batch, first=first)
        if code == errno.ENOSPC:
            # A bucket with more than fits; it is read again.
            batch *= 2
            continue
        yield ctypes.string_at(keys, count * key_size), ctypes.string_at(values, count * value_size)
        if code == errno.ENOENT:
            return
        first = False
        batch = min(most, _GROWTH * batch)


def update_all(table: Map, items: Mapping[bytes, bytes]) -> None:
    """Set many keys' values in one system call. :raises OSError: the kernel refuses"""
    if not items:
        return
    raw_keys, raw_values = b"".join(items), b"".join(items.values())
    keys = ctypes.create_string_buffer(raw_keys, len(raw_keys))
    values = ctypes.create_string_buffer(raw_values, len(raw_values))
    attr = MapBatch(
        keys=ctypes.addressof(keys),
        values=ctypes.addressof(values),
        count=len(items),
        map_fd=table.fd,
    )
    _bpf(_Command.MAP_UPDATE_BATCH, attr)


def load_program(
    instructions: bytes,
    name: str,
    *,
    kind: int = PROG_RAW_TRACEPOINT,
    type_id: int = 0,
    btf_fd: int = 0,
    attach_type: int = ATTACH_RAW_TRACEPOINT,
) -> int:
    """Load a program and return its file descriptor.

    :param kind: where no ``type_id`` is given: PROG_RAW_TRACEPOINT, or PROG_TRACEPOINT for its perf side
    :param type_id: BTF id of the tracepoint's ``btf_trace_*``: the program may then follow its arguments;
        or that of the function of an iterator
    :param btf_fd: BTF of the module that has the tracepoint; 0 for the kernel's own
    :param attach_type: with a ``type_id``: what it is of
    :raises OSError: the kernel refuses; its message is the verifier's last message
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_ = ctypes.create_string_buffer(b"GPL")
    attr = ProgramLoad(
        kind=PROG_TRACING if type_id else kind,
        instruction_count=len(instructions) // ctypes.sizeof(Instruction),
        instructions=ctypes.addressof(code),
        license=ctypes.addressof(license_),
        name=name.encode()[:15],
    )
    if type_id:
        attr.expected_attach_type = attach_type
        attr.attach_btf_id, attr.attach_btf_fd = type_id, btf_fd
    try:
        return _bpf(_Command.PROG_LOAD, attr)
    except OSError:
        # Only now with a log: a log costs time, and may itself be too long.
        log = ctypes.create_string_buffer(1 << 20)
        attr.log_level, attr.log_size, attr.log = 1, len(log), ctypes.addressof(log)
    try:
        return _bpf(_Command.PROG_LOAD, attr)
    except OSError as exc:
        said = log.value.decode(errors="replace").strip().splitlines()
        raise OSError(exc.errno, "; ".join([os.strerror(exc.errno or 0), *said[-3:]])) from exc


def attach(program: int, tracepoint: str) -> int:
    """Attach a program to a tracepoint, by its bare name, and return the link's file descriptor.

    :raises OSError: the kernel refuses
    """
    name = ctypes.create_string_buffer(tracepoint.encode())
    kind = program_kind(program)
    # A program that follows the tracepoint's types was loaded for it, and knows its name.
    is_named = kind == PROG_RAW_TRACEPOINT
    attr = RawTracepoint(name=ctypes.addressof(name) if is_named else 0, program_fd=program)
    return _bpf(_Command.RAW_TRACEPOINT_OPEN, attr)


def open_event(event_id: int) -> int:
    """Return a file descriptor of a tracepoint's perf event, of one CPU, that is never enabled.

    It is there for the program that is attached to it alone, which runs on all CPUs.

    :param event_id: the tracepoint's, from its folder in tracefs
    :raises OSError: the kernel refuses
    """
    attr = PerfEvent(kind=_TRACEPOINT_EVENT, size=ctypes.sizeof(PerfEvent), config=event_id, flags=_DISABLED)
    return _checked(_libc.syscall(_PERF_EVENT_OPEN, ctypes.byref(attr), -1, _first_cpu(), -1, _CLOSE_ON_EXEC))


def attach_to_event(program: int, event: int) -> int:
    """Attach a program to the perf side of a tracepoint and return the link's file descriptor.

    :param event: the tracepoint's, which may be closed afterwards
    :raises OSError: the kernel refuses
    """
    attr = LinkCreate(program_fd=program, target_fd=event, attach_type=ATTACH_PERF_EVENT)
    return _bpf(_Command.LINK_CREATE, attr)


def run(program: int, arguments: bytes) -> int:
    """Run a program for a raw tracepoint once, now, and return what it returns.

    :param program: it need not be attached
    :param arguments: numbers of 8 bytes, 12 at most: those of the tracepoint
    :raises OSError: the kernel refuses
    """
    given = ctypes.create_string_buffer(arguments, len(arguments))
    attr = TestRun(program_fd=program, context=ctypes.addressof(given), context_size=len(arguments))
    _bpf(_Command.PROG_TEST_RUN, attr)
    return int(attr.returned)


def iterate(program: int, pid: int) -> Generator[bytes, None, None]:
    """Run an iterator's program over one process's threads, and yield what it writes.

    :param pid: in this process's namespace; 0 for every process of it
    :raises OSError: the kernel refuses, or there is no such process
    """
    of = TaskOfIterator(pid=pid)
    attr = IteratorLink(
        program_fd=program,
        attach_type=ATTACH_ITERATOR,
        info=ctypes.addressof(of),
        info_size=ctypes.sizeof(of),
    )
    link = _bpf(_Command.LINK_CREATE, attr)
    try:
        fd = _bpf(_Command.ITER_CREATE, IteratorCreate(link_fd=link))
    finally:
        os.close(link)
    try:
        while part := os.read(fd, _ITERATOR_BYTES):
            yield part
    finally:
        os.close(fd)


def _first_cpu() -> int:
    """One that is online."""
    return int(_ONLINE_CPUS.read_text().replace(",", "-").split("-")[0])


def pin(fd: int, path: Path) -> None:
    """Give a map, program or link a name in bpffs. :raises OSError: the kernel refuses"""
    _object(_Command.OBJ_PIN, path, fd)


def open_pinned(path: Path) -> int:
    """Return a file descriptor of what has this name in bpffs. :raises OSError: nothing can be had there"""
    return _object(_Command.OBJ_GET, path, 0)


def module_btf(module: str) -> int | None:
    """Return a file descriptor of a loaded module's BTF, None where there is none.

    :raises PermissionError: CAP_SYS_ADMIN is needed for it
    """
    number = 0
    while True:
        attr = Id(start=number)
        try:
            _bpf(_Command.BTF_GET_NEXT_ID, attr)
        except FileNotFoundError:
            return None
        number = attr.next
        fd = _bpf(_Command.BTF_GET_FD_BY_ID, Id(start=number))
        if _btf_name(fd) == module:
            return fd
        os.close(fd)


def enable_stats() -> int:
    """Let the kernel measure all programs' run times until the returned file descriptor is closed.

    :raises OSError: without CAP_SYS_ADMIN
    """
    return _bpf(_Command.ENABLE_STATS, EnableStats())


def _lookup_batch(
    table: Map,
    cursor: ctypes.c_uint32,
    keys: "ctypes.Array[ctypes.c_char]",
    values: "ctypes.Array[ctypes.c_char]",
    batch: int,
    *,
    first: bool,
) -> tuple[int, int]:
    """Read on from the cursor; return how many were read, and 0, ENOENT at the end, or ENOSPC."""
    place = ctypes.addressof(cursor)
    attr = MapBatch(
        in_batch=0 if first else place,
        out_batch=place,
        keys=ctypes.addressof(keys),
        values=ctypes.addressof(values),
        count=batch,
        map_fd=table.fd,
    )
    code = 0
    try:
        _bpf(_Command.MAP_LOOKUP_BATCH, attr)
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ENOSPC):
            raise
        code = exc.errno
    return (0 if code == errno.ENOSPC else int(attr.count)), code


def _element(command: _Command, table: Map, key: bytes, value: "ctypes.Array[ctypes.c_char] | None") -> None:
    raw_key = ctypes.create_string_buffer(key, len(key))
    attr = MapElement(
        map_fd=table.fd,
        key=ctypes.addressof(raw_key),
        value=ctypes.addressof(value) if value else 0,
    )
    _bpf(command, attr)


def _object(command: _Command, path: Path, fd: int) -> int:
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(command, Object(path=ctypes.addressof(name), fd=fd))


def _btf_name(fd: int) -> str:
    name = ctypes.create_string_buffer(64)
    _get_info(fd, BtfInfo(name=ctypes.addressof(name), name_size=len(name)))
    return name.value.decode(errors="replace")


def _get_info(fd: int, info: ctypes.Structure) -> None:
    attr = InfoRequest(fd=fd, size=ctypes.sizeof(info), info=ctypes.addressof(info))
    _bpf(_Command.OBJ_GET_INFO, attr)


def _bpf(command: _Command, attr: ctypes.Structure) -> int:
    return _checked(_libc.syscall(_BPF, int(command), ctypes.byref(attr), ctypes.sizeof(attr)))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)
