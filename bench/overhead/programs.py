"""The tracers that are BPF programs in this process: nothing, an empty one, and kvmfaults."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcc

from bench.overhead.tracer import RefusedError, Tracer
from collector.errors import ProbeError
from collector.probe.loader import Probes
from collector.probe.plan import Plan

_EMPTY = b"int on_fault(struct bpf_raw_tracepoint_args *ctx) { return 0; }"
_READING_S = 1.0
"""The collector's default interval."""


def ours(plan: Plan, headers: Path, tracepoint: str) -> tuple[Tracer, ...]:
    """Return the tracers that need nothing installed.

    :param headers: tree from ``collector.probe.headers``
    """
    return NoTracer(), EmptyProgram(tracepoint, headers), Kvmfaults("kvmfaults", plan, headers)


@dataclass(frozen=True)
class NoTracer:
    """What the others are compared with."""

    name: str = "no tracer"

    def attached(self) -> contextlib.AbstractContextManager[None]:
        """See ``Tracer``."""
        return contextlib.nullcontext()

    def told(self) -> None:
        """See ``Tracer``."""


@dataclass(frozen=True)
class EmptyProgram:
    """The floor: what any BPF tracer on this tracepoint costs."""

    tracepoint: str
    headers: Path
    name: str = "empty program"

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """See ``Tracer``."""
        os.environ["BCC_KERNEL_SOURCE"] = str(self.headers)
        program = bcc.BPF(text=_EMPTY, cflags=[])
        try:
            program.load_func(b"on_fault", program.RAW_TRACEPOINT)
            program.attach_raw_tracepoint(tp=self.tracepoint.encode(), fn_name=b"on_fault")
            yield
        finally:
            program.cleanup()

    def told(self) -> None:
        """See ``Tracer``."""


@dataclass
class Kvmfaults:
    """Our own, with a thread that reads what it counted as often as the collector does."""

    name: str
    plan: Plan
    headers: Path
    _told: int | None = field(default=None, init=False)

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """See ``Tracer``."""
        try:
            probes = Probes(self.plan, self.headers)
        except ProbeError as exc:
            raise RefusedError(f"refused: {exc}") from exc
        ended = threading.Event()

        def read() -> None:
            while not ended.wait(_READING_S):
                probes.fault_counts()

        reader = threading.Thread(target=read)
        with probes:
            reader.start()
            try:
                yield
            finally:
                ended.set()
                reader.join()
            self._told = sum(counters[0] for counters in probes.fault_counts().values())

    def told(self) -> int | None:
        """See ``Tracer``."""
        return self._told
