# SPDX-License-Identifier: Apache-2.0
"""Has the programs compiled for this kernel, or takes the bytecode that is kept, and loads them."""

import logging
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from collector.errors import BytecodeError, CompileTimeoutError, ProbeError
from collector.probe import loader, syscall
from collector.probe.bytecode import Bytecode
from collector.probe.bytecode_cache import BytecodeCache, key_of
from collector.probe.compiler_process import CompilerProcess, Order, Terms
from collector.probe.events import OpenEvent, why_not
from collector.probe.handles import Handles
from collector.probe.headers import BTF_DIRECTORY
from collector.probe.layout import CONCERNS, LAYOUT_MAP
from collector.probe.plan import Plan
from collector.probe.sides import Sides
from collector.probe.source import Source

logger = logging.getLogger(__name__)

_MAPS = (LAYOUT_MAP, *(name for maps in CONCERNS.values() for name in maps))
"""The maps that stay open: the programs hold the others."""
_SHARED = "active_generation"
_PREEMPTIBLE = "-DPREEMPTIBLE"
_IF_ANSWERED = "-DHAVE_MIGRATION_DISABLED"
_PREEMPTION = Path(__file__).parent / "bpf" / "preemption.bpf.c"
_STARTED_BY_A_THREAD = "task:task_newtask"
_ANSWER_MAP = "preemption"
_CAN_BE_PREEMPTED = struct.pack("=I", 2)

Load = Callable[[Bytecode], Handles]


def load(
    plan: Plan,
    source: Source,
    headers: Path,
    *,
    predecessor: Handles | None = None,
    types_fd: int | None = None,
    open_event: OpenEvent = syscall.open_event,
    sides: Sides = Sides.AS_NEEDED,
    cache: BytecodeCache | None = None,
    terms: Terms | None = None,
) -> Handles:
    """Load the programs of a plan, compiled in another process if need be.

    :param headers: tree from ``collector.probe.headers``
    :param predecessor: the set that counts until these programs begin
    :param types_fd: BTF of KVM's module, where this process itself may not open it
    :param open_event: opens perf events
    :param cache: has what was compiled before; None to compile in any case
    :raises CompileTimeoutError: it takes longer than it may
    :raises ProbeError: BCC is missing, the kernel refuses a program, or this was cancelled
    """
    with CompilerProcess(terms or Terms()) as compiler, _module_types(types_fd) as module_fd:
        making = _Making(compiler, cache)
        lacking, flags = "", source.flags
        if sides is Sides.BOTH or (
            sides is Sides.AS_NEEDED and _IF_ANSWERED in flags and _are_preemptible(making, headers)
        ):
            lacking = why_not(plan.attach, open_event)
            flags = flags if lacking else (*flags, _PREEMPTIBLE)
        order = Order(
            source.text,
            flags,
            str(headers),
            plan.attach,
            _MAPS,
            is_typed=module_fd is not None or not _is_module(),
            has_both_sides=_PREEMPTIBLE in flags,
        )
        shared = {} if predecessor is None else {_SHARED: predecessor.maps[_SHARED]}
        # A compiler that needs more types than were picked, or a verifier that knows less: arguments are read
        # by a helper instead, which is slower.
        careful = structs.replace(order, is_typed=False, picks_types=False)
        loaded = making.loaded([order, careful], lambda made: loader.load(made, shared, module_fd))
    for name in loaded.maps.keys() - set(_MAPS):
        os.close(loaded.maps[name])
    maps = {name: loaded.maps[name] for name in _MAPS}
    return replace(loaded, maps=maps, lacking=lacking, open_event=open_event)


def load_unattached(
    order: Order, shared: Mapping[str, int], *, cache: BytecodeCache | None, terms: Terms
) -> Handles:
    """Load programs that user space runs, compiled in another process if need be.

    :param shared: file descriptors of maps of a set that counts, by name
    :param cache: as ``load`` has it
    :raises ProbeError: BCC is missing, the kernel refuses a program, or this was cancelled
    """
    with CompilerProcess(terms) as compiler:
        careful = structs.replace(order, picks_types=False)
        return _Making(compiler, cache).loaded([order, careful], lambda made: loader.load(made, shared))


class _Making:
    """Gets bytecode from the cache or from the compiler, and loads it. There is one way of loading."""

    def __init__(self, compiler: CompilerProcess, cache: BytecodeCache | None) -> None:
        self._compiler = compiler
        self._cache = cache

    def loaded(self, orders: Sequence[Order], load: Load) -> Handles:
        """Load what the first of these orders gives that the kernel takes.

        :param orders: all of them for the same programs
        :raises ProbeError: none does; why not the last
        """
        key = None if self._cache is None else _key(orders[0])
        if self._cache is not None and key is not None and (kept := self._cache.get(key)) is not None:
            try:
                return load(kept)
            except BytecodeError as exc:
                self._cache.drop(key, str(exc))
        *others, last = orders
        for order in others:
            try:
                return self._compiled(order, load, key)
            except CompileTimeoutError:
                raise
            except ProbeError as exc:
                # No loss: they count the same, and take longer.
                logger.debug("programs not typed reason=%r", str(exc))
        return self._compiled(last, load, key)

    def _compiled(self, order: Order, load: Load, key: str | None) -> Handles:
        made = self._compiler.compile(order)
        loaded = load(made)
        if self._cache is not None and key is not None:
            # Only now: what the kernel refuses is not kept.
            self._cache.put(key, made)
        return loaded


def _key(order: Order) -> str | None:
    try:
        return key_of(order)
    except OSError as exc:
        logger.warning("bytecode is not kept path=%s error=%r", exc.filename, exc.strerror)
        return None


def _are_preemptible(making: _Making, headers: Path) -> bool:
    """Find out whether programs on raw tracepoints can be preempted here and now (preemption.bpf.c)."""
    order = Order(_PREEMPTION.read_text(), (), str(headers), (_STARTED_BY_A_THREAD,), maps=(_ANSWER_MAP,))
    try:
        test = making.loaded([order], loader.load)
    except ProbeError:
        return False
    try:
        test = test.attach(order.tracepoints)
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        test.detach()
        return syscall.lookup(syscall.open_map(test.maps[_ANSWER_MAP]), bytes(4)) == _CAN_BE_PREEMPTED
    except (ProbeError, OSError):
        return False
    finally:
        test.close()


def _is_module() -> bool:
    """Whether KVM's types are not among the kernel's own."""
    return (BTF_DIRECTORY / "kvm").exists()


@contextmanager
def _module_types(given: int | None) -> Iterator[int | None]:
    """BTF of KVM's module; None where it is none, or may not be opened."""
    if given is not None or not _is_module():
        yield given
        return
    try:
        fd = syscall.module_btf("kvm")
    except PermissionError:
        fd = None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)
