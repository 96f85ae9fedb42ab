# SPDX-License-Identifier: Apache-2.0
"""What the compiler made of the programs, without anything of the process that it ran in.

Programs name the maps that they use; in the kernel they have file descriptors. So it can be kept on disk
(``bytecode_cache``) and loaded by any process of the same host (``loader``).
"""

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from collector.probe.bpf_attr import Instruction
from collector.probe.compiled import Layout
from collector.probe.syscall import ATTACH_RAW_TRACEPOINT

_LOAD_64 = 0x18
"""BPF_LD | BPF_IMM | BPF_DW, which loads a number of 64 bits."""
_OF_A_MAP = (1, 2)
"""BPF_PSEUDO_MAP_FD and BPF_PSEUDO_MAP_VALUE: as its source register they say that the number's lower half is
a map's file descriptor."""
_INSTRUCTION_BYTES = ctypes.sizeof(Instruction)


class MapDefinition(msgspec.Struct, frozen=True, array_like=True):
    """What BPF_MAP_CREATE takes. Sizes are in bytes; ``name`` is what the kernel shows, 15 bytes at most."""

    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str


class Program(msgspec.Struct, frozen=True):
    """One program.

    ``tracepoint``: ``subsystem:name``, which it is for; the program's own name if it is for none. ``uses``:
    the indexes of the instructions that load a map's address, with the map's name. ``type_id``: BTF id of the
    type of what it is for, which is in KVM's module if ``is_type_in_module``; 0 for a program that does not
    follow its arguments. ``attach_type``: one of ``syscall.ATTACH_*``, for a program with a type.
    """

    tracepoint: str
    kind: int
    instructions: bytes
    uses: tuple[tuple[int, str], ...]
    type_id: int = 0
    is_type_in_module: bool = False
    attach_type: int = ATTACH_RAW_TRACEPOINT

    def with_maps(self, fds: Mapping[str, int]) -> bytes:
        """Return the instructions for this process. :param fds: the maps' file descriptors, by name"""
        code = bytearray(self.instructions)
        for index, name in self.uses:
            Instruction.from_buffer(code, index * _INSTRUCTION_BYTES).immediate = fds[name]
        return bytes(code)


class FileIdentity(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was: a package that is installed anew changes it."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: str) -> "FileIdentity":
        """Look at a file. :raises OSError: there is none"""
        found = Path(path).stat()
        return cls(path, found.st_size, found.st_mtime_ns)

    def is_unchanged(self) -> bool:
        """Return whether the file still is what it was."""
        try:
            return FileIdentity.of(self.path) == self
        except OSError:
            return False


class Bytecode(msgspec.Struct, frozen=True):
    """The maps and programs of one text.

    ``programs``: in the order in which they are loaded, by the name of their handle. ``layout``: of the maps
    that user space reads, None where it reads none by name. ``compiler``: the files that the
    compiler consists of.
    """

    maps: Mapping[str, MapDefinition]
    programs: Mapping[str, Program]
    layout: Layout | None
    compiler: tuple[FileIdentity, ...]

    def changed_files(self) -> list[str]:
        """Return which of the compiler's files are other ones now."""
        return [one.path for one in self.compiler if not one.is_unchanged()]


def by_name(instructions: bytes, names: Mapping[int, str]) -> tuple[bytes, tuple[tuple[int, str], ...]]:
    """Take the file descriptors out of a program.

    :param names: the names of the maps, by file descriptor
    :return: the instructions, and ``Program.uses``
    :raises ValueError: it uses a map that has no name
    """
    code = bytearray(instructions)
    uses = []
    for index in range(len(code) // _INSTRUCTION_BYTES):
        one = Instruction.from_buffer(code, index * _INSTRUCTION_BYTES)
        if one.opcode != _LOAD_64 or one.registers >> 4 not in _OF_A_MAP:
            continue
        if one.immediate not in names:
            raise ValueError(f"instruction {index} uses a map that has no name")
        uses.append((index, names[one.immediate]))
        one.immediate = 0
    return bytes(code), tuple(uses)


def identities(paths: Iterable[str | os.PathLike[str]]) -> tuple[FileIdentity, ...]:
    """Look at files, each once. :raises OSError: one is missing"""
    return tuple(FileIdentity.of(path) for path in sorted({os.fspath(path) for path in paths}))
