# SPDX-License-Identifier: Apache-2.0
"""What the others are compared with: no tracer, and an empty BPF program."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcc

from bench.overhead.tracer import RefusedError
from collector.probe import syscall
from collector.probe.tracefs import event_id

_EMPTY = b"int on_fault(struct bpf_raw_tracepoint_args *ctx) { return 0; }"
_EMPTY_ON_PERF_SIDE = b"int on_fault(void *event) { return 1; }"


@dataclass(frozen=True)
class NoTracer:
    """What the guest takes by itself."""

    name: str

    def attached(self) -> contextlib.AbstractContextManager[None]:
        """See ``Tracer``."""
        return contextlib.nullcontext()

    def reported(self) -> None:
        """See ``Tracer``."""


@dataclass(frozen=True)
class EmptyProgram:
    """The floor: what any BPF tracer on these tracepoints costs.

    :param headers: tree from ``collector.probe.headers``
    """

    name: str
    tracepoints: tuple[str, ...]
    headers: Path

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """See ``Tracer``."""
        # BCC reads this when it compiles; there is no argument for it.
        os.environ["BCC_KERNEL_SOURCE"] = str(self.headers)
        program = bcc.BPF(text=_EMPTY, cflags=[])
        try:
            program.load_func(b"on_fault", program.RAW_TRACEPOINT)
            for tracepoint in self.tracepoints:
                program.attach_raw_tracepoint(tp=tracepoint.encode(), fn_name=b"on_fault")
            yield
        finally:
            program.cleanup()

    def reported(self) -> None:
        """See ``Tracer``."""


@dataclass(frozen=True)
class EmptyOnPerfSide:
    """The floor on the perf side of a tracepoint (collector/probe/bpf/sides.bpf.h).

    :param tracepoint: ``subsystem:name``
    :param headers: tree from ``collector.probe.headers``
    """

    name: str
    tracepoint: str
    headers: Path

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """See ``Tracer``."""
        number = event_id(self.tracepoint)
        if number is None:
            raise RefusedError("tracefs is not mounted")
        os.environ["BCC_KERNEL_SOURCE"] = str(self.headers)
        module = bcc.BPF(text=_EMPTY_ON_PERF_SIDE, cflags=[])
        program = syscall.load_program(module.dump_func(b"on_fault"), "empty", kind=syscall.PROG_TRACEPOINT)
        event = syscall.open_event(number)
        try:
            link = syscall.attach_to_event(program, event)
            yield
            os.close(link)
        finally:
            os.close(event)
            os.close(program)
            module.cleanup()

    def reported(self) -> None:
        """See ``Tracer``."""
