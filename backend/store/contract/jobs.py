# SPDX-License-Identifier: Apache-2.0
"""The jobs that servers of one database share: who is at each, and how its last run went."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaim:
    """A server that would do a job now, for ``within_ns`` at most, if nobody did within ``every_ns``."""

    name: str
    holder: str
    began_ns: int
    within_ns: int
    every_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job, and how its last run that came to an end went. ``error`` is empty where it did not fail."""

    name: str
    held_until_ns: int | None
    """Until when the server that is at it may take; None where none is. It died where that is past."""
    ended_ns: int | None
    took_ns: int | None
    error: str

    def is_gone(self, now_ns: int) -> bool:
        """Return whether the server that was at it died, or hangs."""
        return self.held_until_ns is not None and self.held_until_ns <= now_ns

    def failure(self, now_ns: int) -> str:
        """Return why its last run failed, empty where it did not."""
        if self.is_gone(now_ns):
            return "the server that was at it did not end it in time"
        return self.error
