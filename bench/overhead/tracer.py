# SPDX-License-Identifier: Apache-2.0
"""What a tracer is to this benchmark."""

from contextlib import AbstractContextManager
from typing import Protocol


class RefusedError(Exception):
    """The tracer cannot run here; the message is its own reason."""


class Tracer(Protocol):
    """One way of watching guest faults. Used again every turn."""

    @property
    def name(self) -> str:
        """Its row in the table."""

    def attached(self) -> AbstractContextManager[object]:
        """Watch the whole host while the context lasts.

        :raises RefusedError: it cannot
        """

    def reported(self) -> int | None:
        """Return how many faults it reported in the newest turn; None where it keeps no count."""
