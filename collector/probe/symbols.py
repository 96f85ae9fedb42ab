# SPDX-License-Identifier: Apache-2.0
"""Names kernel addresses through a program of the kernel's iterator over tasks (symbols.bpf.c).

/proc/kallsyms shows addresses to those alone who may do much else.
"""

import os
import struct
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Order, Terms
from collector.probe.handles import Handles
from collector.probe.loading import load_unattached
from collector.probe.plan import Plan
from collector.probe.source import FOLDER, make_source, one_text

_MAIN = "symbols.bpf.c"
_ITERATOR = "task"
_QUESTION = "symbol_question"
_FIRST = bytes(4)
MOST_SYMBOLS = 64
"""In one question."""


class Symbols:
    """The iterator's program, loaded. For one thread. To be closed."""

    def __init__(self, handles: Handles) -> None:
        """:param handles: of the program; are this object's from here on"""
        self._handles = handles
        self._question = syscall.open_map(handles.maps[_QUESTION])

    def names(self, addresses: Sequence[int]) -> Sequence[str]:
        """Return the functions at these addresses, ``MOST_SYMBOLS`` at most; a number where there is none.

        :raises ProbeError: the kernel refuses
        """
        asked = addresses[:MOST_SYMBOLS]
        try:
            value = struct.pack(f"={len(asked)}Q", *asked).ljust(self._question.value_size, b"\0")
            syscall.update(self._question, _FIRST, value)
            with closing(syscall.iterate(self._handles.programs[_ITERATOR], os.getpid())) as parts:
                lines = b"".join(parts).decode(errors="replace").splitlines()
        except OSError as exc:
            raise ProbeError(f"the kernel does not name its functions: {exc.strerror}") from exc
        # Once for each thread of this process.
        return [line.partition(" ")[0] for line in lines[: len(asked)]]

    def close(self) -> None:
        """Unload the program."""
        self._handles.close()


def load(plan: Plan, headers: Path, *, cache: BytecodeCache | None, terms: Terms) -> Symbols:
    """Load the program.

    :param plan: of the programs that count
    :param headers: tree from ``collector.probe.headers``
    :raises ProbeError: it cannot be compiled, or the kernel refuses it, as before 6.1
    """
    flags = make_source(plan).flags
    order = Order(
        one_text(FOLDER, _MAIN),
        flags,
        str(headers),
        (),
        (_QUESTION,),
        is_typed=True,
        iterators=(_ITERATOR,),
    )
    symbols = Symbols(load_unattached(order, {}, cache=cache, terms=terms))
    try:
        symbols.names(())
    except ProbeError:
        symbols.close()
        raise
    return symbols
