# SPDX-License-Identifier: Apache-2.0
"""The kernel's own count of what this process's children do: a witness beside the guests' truth."""

import os
import re
import subprocess
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType

import pytest

_TRACEFS = Path("/sys/kernel/tracing")
_EVENTS = ("kvmmmu/kvm_mmu_spte_requested", "kvm/kvm_userspace_exit")
_LINE = re.compile(r"-\d+ +\[\d+\].*?: (\w+): (.*)")


class Witness:
    """A tracefs instance that follows this thread's children. Forgets all at its end."""

    def __init__(self) -> None:
        if not (_TRACEFS / "instances").is_dir():
            mounted = subprocess.run(["mount", "-t", "tracefs", "nodev", _TRACEFS], check=False)
            if mounted.returncode != 0:
                pytest.skip("tracefs is not mounted and cannot be")
        self._folder = _TRACEFS / "instances" / f"demo-test-{os.getpid()}"

    def __enter__(self) -> "Witness":
        self._folder.mkdir()
        self._set("buffer_size_kb", "16384")
        self._set("options/event-fork", "1")
        self._set("set_event_pid", str(threading.get_native_id()))
        for event in _EVENTS:
            self._set(f"events/{event}/enable", "1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for event in _EVENTS:
            self._set(f"events/{event}/enable", "0")
        self._folder.rmdir()

    def mapped(self) -> Counter[int]:
        """Guest faults that KVM mapped since the last ``forget``, by the level of the mapping."""
        return Counter(int(text.split()[-1]) for text in self._seen("kvm_mmu_spte_requested"))

    def failed_runs(self) -> int:
        """How many times KVM_RUN returned an error."""
        return sum("error" in text for text in self._seen("kvm_userspace_exit"))

    def forget(self) -> None:
        """Empty the buffer."""
        self._set("trace", "")

    def _seen(self, event: str) -> list[str]:
        for stats in self._folder.glob("per_cpu/cpu*/stats"):
            assert "overrun: 0\n" in stats.read_text(), "the trace buffer is too small for this test"
        with (self._folder / "trace").open() as trace:
            matches = (_LINE.search(line) for line in trace)
            return [match[2] for match in matches if match and match[1] == event]

    def _set(self, file: str, value: str) -> None:
        (self._folder / file).write_text(value)
