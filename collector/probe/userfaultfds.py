# SPDX-License-Identifier: Apache-2.0
"""Asks the kernel which vCPUs wait for a userfaultfd, and which processes hold it (userfaultfds.bpf.c)."""

import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Order, Terms
from collector.probe.handles import Handles
from collector.probe.layout import VcpuKey
from collector.probe.loading import load_unattached
from collector.probe.plan import Plan
from collector.probe.source import FOLDER, make_source, one_text

_MAIN = "userfaultfds.bpf.c"
_LOOK, _HOLDERS = "userfaultfd", "task_file"
_SWITCH = "sched_switch"
_MAPS = ("waiting", "holders_question", "watched_threads")
_FIRST = bytes(4)
_HEAD = struct.Struct("=3Q2I")
_THREAD = struct.Struct("=3Q2I")
_HOLDER = struct.Struct("=Q2I")
_TID = struct.Struct("=I")
_WATCHED = struct.Struct("=2Q2I")
_RAN_RELEASED = 1
MOST_HELD = 16
"""In one question."""
MOST_WATCHED = 1024
"""Threads at once."""


class Waiting(NamedTuple):
    """A vCPU that waits for a userfaultfd, at an address of its VMM.

    ``is_read``: somebody has read the request.
    """

    vcpu: VcpuKey
    address: int
    is_read: bool


class Userfaultfds:
    """The programs, loaded. For one thread, since they answer in maps. To be closed."""

    def __init__(self, handles: Handles) -> None:
        """:param handles: as ``load`` returns them; are this object's from here on"""
        self._handles = handles
        self._maps = {name: syscall.open_map(fd) for name, fd in handles.maps.items()}
        self._watched: set[int] = set()
        self._link: int | None = None

    def waiting(self, context: int, mm: int) -> Sequence[Waiting] | None:
        """Return the vCPUs that wait for a userfaultfd, 64 threads at most.

        :param context: the kernel's address of it
        :param mm: the address space that it is for
        :return: None if it is none of that address space any more
        :raises ProbeError: the kernel refuses
        """
        try:
            syscall.run(self._handles.programs[_LOOK], struct.pack("=Q", context))
            answer = syscall.lookup(self._maps["waiting"], _FIRST) or b""
        except OSError as exc:
            raise _refused(exc) from exc
        of_mm, _, _, count, is_released = _HEAD.unpack_from(answer)
        if of_mm != mm or is_released:
            return None
        threads = _THREAD.iter_unpack(answer[_HEAD.size : _HEAD.size + count * _THREAD.size])
        return [
            Waiting(VcpuKey(kvm, instance, vcpu), address, bool(is_read))
            for address, kvm, instance, vcpu, is_read in threads
            if kvm
        ]

    def holders(self, contexts: Sequence[int]) -> Mapping[int, Mapping[int, bool]]:
        """Return the processes that hold userfaultfds, ``MOST_HELD`` at most, and whether each is stopped.

        Looks through the descriptors of every process of the host.

        :raises ProbeError: the kernel refuses
        """
        asked = contexts[:MOST_HELD]
        found: dict[int, dict[int, bool]] = {context: {} for context in asked}
        try:
            question = self._maps["holders_question"]
            value = struct.pack(f"={len(asked)}Q", *asked).ljust(question.value_size, b"\0")
            syscall.update(question, _FIRST, value)
            with closing(syscall.iterate(self._handles.programs[_HOLDERS], 0)) as parts:
                for context, tgid, is_stopped in _HOLDER.iter_unpack(b"".join(parts)):
                    found[context][tgid] = bool(is_stopped)
        except OSError as exc:
            raise _refused(exc) from exc
        return found

    def watch(self, threads: Mapping[int, tuple[int, int]]) -> None:
        """Note of these threads, and of no others, whether their userfaultfd is closed when they run again.

        :param threads: by their ids, the userfaultfd that each waits for and the address space that it is
            for; more than ``MOST_WATCHED`` are left out
        :raises ProbeError: the kernel refuses
        """
        table = self._maps["watched_threads"]
        wanted = dict(list(threads.items())[:MOST_WATCHED])
        try:
            for tid in self._watched - wanted.keys():
                syscall.delete(table, _TID.pack(tid))
            for tid, (context, mm) in wanted.items():
                syscall.update(table, _TID.pack(tid), _WATCHED.pack(context, mm, 0, 0))
            self._watched = set(wanted)
            if wanted and self._link is None:
                self._link = syscall.attach(self._handles.programs[_SWITCH], _SWITCH)
        except OSError as exc:
            raise _refused(exc) from exc
        if not wanted:
            self._detach()

    def ran_when_closed(self, tid: int) -> bool:
        """Return whether the userfaultfd of a thread that is watched was closed when the thread ran again.

        :raises ProbeError: the kernel refuses
        """
        try:
            value = syscall.lookup(self._maps["watched_threads"], _TID.pack(tid))
        except OSError as exc:
            raise _refused(exc) from exc
        return value is not None and _WATCHED.unpack(value)[2] == _RAN_RELEASED

    def close(self) -> None:
        """Unload the programs."""
        self._detach()
        self._handles.close()

    def _detach(self) -> None:
        if self._link is not None:
            os.close(self._link)
            self._link = None


def load(plan: Plan, headers: Path, *, cache: BytecodeCache | None, terms: Terms) -> Userfaultfds:
    """Load the programs.

    :param plan: of the programs that count
    :param headers: tree from ``collector.probe.headers``
    :raises ProbeError: they cannot be compiled, or the kernel refuses them, as before 6.1
    """
    order = Order(
        one_text(FOLDER, _MAIN),
        make_source(plan).flags,
        str(headers),
        (f"sched:{_SWITCH}",),
        _MAPS,
        is_typed=True,
        looks=(_LOOK,),
        iterators=(_HOLDERS,),
    )
    userfaultfds = Userfaultfds(load_unattached(order, {}, cache=cache, terms=terms))
    try:
        # An older kernel takes the iterator's program, and does not run it.
        userfaultfds.holders(())
    except ProbeError:
        userfaultfds.close()
        raise
    return userfaultfds


def _refused(exc: OSError) -> ProbeError:
    return ProbeError(f"userfaultfds cannot be looked at: {exc.strerror or os.strerror(exc.errno or 0)}")
