# SPDX-License-Identifier: Apache-2.0
"""Other tracers, each run as its manual has it, watching the whole host."""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.overhead.tracer import RefusedError

# Each tool runs a command of ours and stops tracing when it ends. Once cat gives back a line, it is attached.
_GATE = shutil.which("cat") or "cat"
_LINE = b"go\n"
_OUTPUT = "output"
_MESSAGES = "messages"


def peers(subsystem: str, tracepoint: str) -> "tuple[Peer, ...]":
    """Return the peers that watch a tracepoint, whether they are installed or not."""
    event = f"{subsystem}:{tracepoint}"
    # What stands nearest to a syndrome among the arguments that a script sees.
    word = "level" if tracepoint == "kvm_mmu_spte_requested" else "error_code"
    script = f"tracepoint:{event} {{ @[pid, args->{word}] = count(); }}"
    return (
        Peer(f"bpftrace, pid and {word}", ("bpftrace", "-o", _OUTPUT, "-e", script, "-c", _GATE), _in_maps),
        Peer("perf stat", ("perf", "stat", "-a", "-x,", "-o", _OUTPUT, "-e", event, _GATE), _in_columns),
        Peer("perf record", ("perf", "record", "-a", "-o", _OUTPUT, "-e", event, _GATE), _in_messages),
        Peer("perf trace", ("perf", "trace", "-a", "-o", _OUTPUT, "-e", event, _GATE), _in_lines),
        Peer("trace-cmd record", ("trace-cmd", "record", "-o", _OUTPUT, "-e", event, _GATE), None),
    )


@dataclass
class Peer:
    """A tool of its own. ``count`` finds in its folder how many faults it reported."""

    name: str
    command: tuple[str, ...]
    count: Callable[[Path], int] | None
    _reported: int | None = field(default=None, init=False)

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Run the tool; see ``Tracer``."""
        if shutil.which(self.command[0]) is None:
            raise RefusedError("not installed")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with self._running(folder):
                yield
            self._reported = self.count(folder) if self.count else None

    def reported(self) -> int | None:
        """See ``Tracer``."""
        return self._reported

    @contextlib.contextmanager
    def _running(self, folder: Path) -> Iterator[None]:
        with (folder / _MESSAGES).open("wb") as messages:
            process = subprocess.Popen(
                self.command,
                cwd=folder,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
            )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            # A tool that refuses is gone before it takes the line.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(_LINE)
            if process.stdout.readline() != _LINE:
                process.wait()
                raise RefusedError(_reason(folder))
            yield
            process.stdin.close()
            process.stdout.read()


def _reason(folder: Path) -> str:
    lines = (folder / _MESSAGES).read_text(errors="replace").split("\n")
    return "refused: " + "; ".join(line.strip() for line in lines if line.strip())


def _in_maps(folder: Path) -> int:
    # @[1234, 1]: 100000
    return sum(map(int, re.findall(r"\]: (\d+)$", (folder / _OUTPUT).read_text(), re.MULTILINE)))


def _in_columns(folder: Path) -> int:
    # 100000,,kvm:kvm_page_fault,...
    return sum(map(int, re.findall(r"^(\d+),", (folder / _OUTPUT).read_text(), re.MULTILINE)))


def _in_messages(folder: Path) -> int:
    # [ perf record: Captured and wrote 6.5 MB output (100000 samples) ]
    return sum(map(int, re.findall(r"\((\d+) samples\)", (folder / _MESSAGES).read_text())))


def _in_lines(folder: Path) -> int:
    return (folder / _OUTPUT).read_text(errors="replace").count("kvm_")
