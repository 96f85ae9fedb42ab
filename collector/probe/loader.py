"""Compiles, attaches and reads the BPF programs. The only module that imports bcc."""

import ctypes
import errno
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from collector.errors import ProbeError
from collector.probe.layout import (
    EXIT_COUNT,
    EXIT_KEY,
    EXIT_RECORD,
    FAULT_COUNTERS,
    FAULT_KEY,
    FORMATS,
    LOST_KINDS,
    VM_KEY,
    VM_RECORD,
    ExitKey,
    ExitRecord,
    FaultKey,
    VmKey,
    VmRecord,
    unpack_vm_record,
)
from collector.probe.plan import Plan

SOURCE = Path(__file__).with_name("faults.bpf.c")

MAX_VMS = 4096
MAX_THREADS = 262_144
MAX_KEYS = 1_048_576
EXIT_RING_PAGES = 256
_BATCH = 4096
_TID_BYTES = 4
_BCC_REMEDY = "install the distribution's python3-bpfcc; PyPI's bcc is another package"


class Probes:
    """The attached programs and their maps. Not thread-safe: one reader."""

    def __init__(self, plan: Plan, headers: Path) -> None:
        """Compile, load and attach.

        :param headers: tree from ``collector.probe.headers``
        :raises ProbeError: BCC is missing, or the kernel refuses a program
        """
        self._exits: list[ExitRecord] = []
        self._bpf = _compile(plan, headers)
        self._library = _library()
        self._cpus = _possible_cpus()
        self._programs: list[int] = []
        try:
            self._prepare(plan)
            for tracepoint in plan.attach:
                self._attach(tracepoint)
        except ProbeError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def vms(self) -> dict[VmKey, VmRecord]:
        """Return every VM that has faulted or left KVM_RUN since attaching, until it is forgotten."""
        return {
            VmKey._make(VM_KEY.unpack(key)): unpack_vm_record(value)
            for key, value in self._entries("vms", VM_KEY.size, VM_RECORD.size)
        }

    def fault_counts(self) -> dict[FaultKey, tuple[int, ...]]:
        """Return counters (in the order of ``COUNTERS``) by key, summed over CPUs; they only grow."""
        size = FAULT_COUNTERS.size * self._cpus
        return {
            FaultKey._make(FAULT_KEY.unpack(key)): _sum(FAULT_COUNTERS.iter_unpack(value))
            for key, value in self._entries("fault_counts", FAULT_KEY.size, size)
        }

    def exit_counts(self) -> dict[ExitKey, int]:
        """Return exits to user space by key, summed over CPUs; they only grow."""
        size = EXIT_COUNT.size * self._cpus
        return {
            ExitKey._make(EXIT_KEY.unpack(key)): _sum(EXIT_COUNT.iter_unpack(value))[0]
            for key, value in self._entries("exit_counts", EXIT_KEY.size, size)
        }

    def exit_records(self) -> list[ExitRecord]:
        """Take the exit records that came since the last call, oldest first."""
        self._bpf.ring_buffer_consume()
        taken, self._exits = self._exits, []
        return taken

    def lost(self) -> dict[str, int]:
        """Return what the programs could not keep, by kind; these only grow."""
        table = self._bpf[b"lost"]
        lost = {kind: int(sum(table[table.Key(index)])) for index, kind in enumerate(LOST_KINDS)}
        lost["missed_runs"] = sum(_recursion_misses(fd) for fd in self._programs)
        return lost

    def forget(self, vms: Collection[VmKey]) -> None:
        """Remove ended VMs' keys. Their counts must have been read before."""
        prefixes = {VM_KEY.pack(*vm) for vm in vms}
        # Threads before counts: one that counted on would note its VM anew, and no count be without its VM.
        self._delete("vms", prefixes)
        threads = list(self._entries("threads", _TID_BYTES, ctypes.sizeof(self._bpf[b"threads"].Leaf)))
        self._delete("threads", (key for key, value in threads if value[: VM_KEY.size] in prefixes))
        for table, key_size, value_size in (
            ("fault_counts", FAULT_KEY.size, FAULT_COUNTERS.size * self._cpus),
            ("exit_counts", EXIT_KEY.size, EXIT_COUNT.size * self._cpus),
        ):
            keys = [key for key, _ in self._entries(table, key_size, value_size)]
            self._delete(table, (key for key in keys if key[: VM_KEY.size] in prefixes))

    def detach(self) -> None:
        """Detach every program: from here on nothing is counted, what was counted can still be read."""
        for name in list(self._bpf.raw_tracepoint_fds):
            self._bpf.detach_raw_tracepoint(name)

    def close(self) -> None:
        """Detach and release the maps."""
        self._bpf.cleanup()

    def _prepare(self, plan: Plan) -> None:
        table = self._bpf[b"page_fault_seen"]
        table[table.Key(0)] = table.Leaf(int(plan.flavour.fires_page_fault))
        self._bpf[b"exit_records"].open_ring_buffer(self._take_exit)

    def _attach(self, tracepoint: str) -> None:
        name = tracepoint.partition(":")[2]
        function = f"on_{name}".encode()
        try:
            loaded = self._bpf.load_func(function, self._bpf.RAW_TRACEPOINT)
            self._bpf.attach_raw_tracepoint(tp=name.encode(), fn_name=function)
        except Exception as exc:  # BCC raises nothing narrower
            raise ProbeError(f"the kernel refuses the program for {tracepoint}: {exc}") from exc
        self._programs.append(loaded.fd)

    def _take_exit(self, _context: object, data: int, size: int) -> int:
        self._exits.append(ExitRecord._make(EXIT_RECORD.unpack_from(ctypes.string_at(data, size))))
        return 0

    def _entries(self, table: str, key_size: int, value_size: int) -> Iterator[tuple[bytes, bytes]]:
        """Every entry of a hash map, read with batched system calls."""
        batch = _BATCH
        keys = ctypes.create_string_buffer(key_size * batch)
        values = ctypes.create_string_buffer(value_size * batch)
        cursor = ctypes.c_uint32()
        first = True
        while True:
            count = ctypes.c_uint32(batch)
            failed = self._library.bpf_lookup_batch(
                self._bpf[table.encode()].map_fd,
                None if first else ctypes.byref(cursor),
                ctypes.byref(cursor),
                ctypes.byref(keys),
                ctypes.byref(values),
                ctypes.byref(count),
            )
            code = ctypes.get_errno() if failed else 0
            if code not in (0, errno.ENOENT):
                raise ProbeError(f"cannot read the map {table}: {os.strerror(code)}")
            raw_keys, raw_values = keys.raw, values.raw
            for index in range(count.value):
                yield (
                    raw_keys[index * key_size : (index + 1) * key_size],
                    raw_values[index * value_size : (index + 1) * value_size],
                )
            if failed:
                return
            first = False

    def _delete(self, table: str, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._library.bpf_delete_elem(self._bpf[table.encode()].map_fd, ctypes.c_char_p(key))


def bcc_version() -> str:
    """Return BCC's version.

    :raises ProbeError: it is not installed
    """
    return str(_import_bcc().__version__)


def _compile(plan: Plan, headers: Path) -> Any:
    bcc = _import_bcc()
    # BCC reads this when it compiles; there is no argument for it.
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    formats = {name: number for number, name in FORMATS.items()}
    flags = [
        f"-DMAX_VMS={MAX_VMS}",
        f"-DMAX_THREADS={MAX_THREADS}",
        f"-DMAX_KEYS={MAX_KEYS}",
        f"-DEXIT_RING_PAGES={EXIT_RING_PAGES}",
        f"-DPAGE_FAULT_FORMAT={formats[plan.flavour.page_fault_format]}",
        *(f"-D{macro}" for macro in plan.macros),
    ]
    try:
        return bcc.BPF(text=_source().encode(), cflags=flags)
    except Exception as exc:  # BCC raises nothing narrower
        raise ProbeError(f"BCC cannot compile the programs for this kernel: {exc}") from exc


def _source() -> str:
    """The program as one text: BCC rewrites map accesses in its main file only, not in what that includes."""
    parts = []
    for line in SOURCE.read_text().splitlines():
        included = re.fullmatch(r'#include "(.+)"', line)
        parts.append(SOURCE.with_name(included[1]).read_text() if included else line)
    return "\n".join(parts)


def _import_bcc() -> Any:
    try:
        import bcc
    # OSError: the package is there, but not the library that it loads.
    except (ImportError, OSError) as exc:
        raise ProbeError(f"BCC is missing ({exc}): {_BCC_REMEDY}") from exc
    if not hasattr(bcc, "BPF"):
        raise ProbeError(f"the Python package bcc is not BCC's: {_BCC_REMEDY}")
    return bcc


def _library() -> Any:
    import bcc

    return bcc.lib


def _possible_cpus() -> int:
    """Per-CPU maps hold a value for each possible CPU, also those that are offline."""
    total = 0
    for part in Path("/sys/devices/system/cpu/possible").read_text().strip().split(","):
        low, _, high = part.partition("-")
        total += int(high or low) - int(low) + 1
    return total


def _recursion_misses(program: int) -> int:
    """Runs of a program that the kernel skipped because it was already running on that CPU."""
    for line in Path(f"/proc/self/fdinfo/{program}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "recursion_misses":
            return int(value)
    return 0


def _sum(rows: Iterator[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))
