# SPDX-License-Identifier: Apache-2.0
"""Makes a set's maps and loads its programs, from bytecode that was compiled now or is kept from before."""

import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType

from collector.errors import BytecodeError, ProbeError
from collector.probe import compiled, syscall
from collector.probe.bytecode import Bytecode, MapDefinition
from collector.probe.compiled import Layout
from collector.probe.handles import Handles
from collector.probe.layout import CONCERNS, LAYOUT_MAP
from collector.probe.views import Views, fits

_ONCE = (errno.EPERM, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EINTR)
"""Refusals that concern this moment or this process, and not the program."""


def load(
    bytecode: Bytecode, shared: Mapping[str, int] = MappingProxyType({}), types_fd: int | None = None
) -> Handles:
    """Load the programs.

    :param shared: file descriptors of maps of another set, by name, that are used in place of new ones
    :param types_fd: BTF of KVM's module, if the bytecode has types of it
    :return: the programs, and all maps
    :raises BytecodeError: the kernel's verifier refuses a program, or this version cannot read the maps
    :raises ProbeError: the kernel refuses a map or a program now; another time or process it may not
    """
    with ExitStack() as undo:
        maps = {}
        try:
            for name, one in bytecode.maps.items():
                maps[name] = os.dup(shared[name]) if name in shared else _create(one)
                undo.callback(os.close, maps[name])
            if bytecode.layout is not None:
                _check_own(bytecode.layout, maps)
                compiled.write(syscall.open_map(maps[LAYOUT_MAP]), bytecode.layout)
        except OSError as exc:
            raise ProbeError(f"the kernel refuses the programs' maps: {exc.strerror}") from exc
        programs = {}
        for name in bytecode.programs:
            programs[name] = _load_program(bytecode, name, maps, types_fd)
            undo.callback(os.close, programs[name])
        undo.pop_all()
    return Handles(maps, programs, {})


def _create(one: MapDefinition) -> int:
    return syscall.create_map(
        one.kind,
        key_size=one.key_size,
        value_size=one.value_size,
        max_entries=one.max_entries,
        flags=one.flags,
        name=one.name,
    )


def _load_program(bytecode: Bytecode, name: str, maps: Mapping[str, int], types_fd: int | None) -> int:
    program = bytecode.programs[name]
    try:
        return syscall.load_program(
            program.with_maps(maps),
            name,
            kind=program.kind,
            type_id=program.type_id,
            btf_fd=(types_fd or 0) if program.is_type_in_module else 0,
            attach_type=program.attach_type,
        )
    except OSError as exc:
        text = f"the kernel refuses the program for {program.tracepoint}: {exc.strerror}"
        raise (ProbeError if exc.errno in _ONCE else BytecodeError)(text) from exc


def _check_own(layout: Layout, fds: Mapping[str, int]) -> None:
    """Check the programs against this version's views. Only sets of other versions may differ from those.

    :raises BytecodeError: they differ
    """
    if lacking := Views(layout).lacking():
        raise BytecodeError(f"the programs' own maps lack {', '.join(lacking)}")
    unlike = [
        name
        for maps in CONCERNS.values()
        for name in maps
        if not fits(layout, name, syscall.open_map(fds[name]))
    ]
    if unlike:
        raise BytecodeError(f"the compiler and the kernel disagree on {', '.join(unlike)}")
