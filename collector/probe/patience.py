# SPDX-License-Identifier: Apache-2.0
"""The deadline for compiling the programs: it doubles after each try that missed it.

It takes a second; under a software emulator a minute, and on one that is busy many.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from collector.errors import CompileTimeoutError

FIRST_S = 120.0
LONGEST_S = 3600.0


class Patience:
    """The deadline of one collector's tries."""

    def __init__(self, first_s: float = FIRST_S) -> None:
        self._first_s = first_s
        self._deadline_s = first_s

    @contextmanager
    def trying(self) -> Iterator[float]:
        """Run one try; yield how many seconds it may take."""
        try:
            yield self._deadline_s
        except CompileTimeoutError:
            self._deadline_s = min(2 * self._deadline_s, LONGEST_S)
            raise
        self._deadline_s = self._first_s
