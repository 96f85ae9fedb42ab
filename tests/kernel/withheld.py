# SPDX-License-Identifier: Apache-2.0
"""Memory that is there only once it is handed out: a guest that touches it before waits inside KVM_RUN."""

from types import TracebackType

from demo.memory import PAGE, HostMemory
from demo.userfaultfd import Userfaultfd


class Withheld:
    """Pages of this process that nobody has touched yet. A context manager."""

    def __init__(self, memory: HostMemory) -> None:
        self._memory = memory
        self._userfaultfd = Userfaultfd(memory)

    def __enter__(self) -> "Withheld":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever waits still finds the pages as they are.
        self._userfaultfd.close()

    def await_touch(self, seconds: float) -> None:
        """Wait until somebody waits for a page."""
        assert self._userfaultfd.touched(seconds), f"nobody touched the memory within {seconds:g} s"

    def hand_out(self) -> None:
        """Let all pages be there, as zeros."""
        for offset in range(0, self._memory.size, PAGE):
            self._userfaultfd.provide(self._memory.address + offset)
