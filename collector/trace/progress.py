# SPDX-License-Identifier: Apache-2.0
"""Shows how far an import is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

_TERMINAL_S = 0.1
_LOG_S = 5.0


@dataclass(slots=True)
class Progress:
    """Writes how far the reading of one file is: on a terminal in place, else a line every few seconds."""

    stream: TextIO
    text: str
    """What is done: ``"trace.txt: looked through"``."""
    size_bytes: int
    clock: Callable[[], float] = time.monotonic
    _in_place: bool = field(init=False)
    _next_s: float = field(init=False)
    _shown: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._in_place = self.stream.isatty()
        self._next_s = self.clock() + (_TERMINAL_S if self._in_place else _LOG_S)

    def see_bytes(self, position: int) -> None:
        """Take note of how far the reading is. An import that ends at once shows nothing."""
        now_s = self.clock()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (_TERMINAL_S if self._in_place else _LOG_S)
        part = f"{self.text} {100 * position // max(self.size_bytes, 1)}%"
        self.stream.write(f"\r{part}\x1b[K" if self._in_place else f"{part}\n")
        self.stream.flush()
        self._shown = True

    def end(self) -> None:
        """Leave the terminal's line empty."""
        if self._in_place and self._shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
