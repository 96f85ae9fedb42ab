# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM for a while: who asked, and what became of it. Times: UTC ns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from faultmodel.kinds import RecordEnd, RecordingLevel
from faultmodel.record_answers import RecordAnswer
from faultmodel.units import NS_PER_S

MOST_NOT_OVER = 50
"""Of a host whose time is not over, those that were withdrawn among them: receipts have them all."""
MOST_IN_ALL = 500
"""Of all hosts whose time is not over."""
MOST_KEPT = 100
"""Of a host, the newest."""
KEPT_NS = 30 * 24 * 3600 * NS_PER_S
"""After its end."""
LATELY_NS = 15 * NS_PER_S
"""Before the newest answer: what did not answer since has made way for another."""
MOST_PARTS = 64
"""Of a request: a collector that starts anew more often adds nothing more to its sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The sums of all that a host's collectors answered to a request."""

    was_found: bool
    """Whether any of them knew the VM; else the sums are 0."""
    is_found: bool
    """Whether one of those that answered lately does."""
    began_ns: int
    """By the host's clock; set right where that is known to be wrong."""
    to_ns: int
    level: RecordingLevel
    """From ``to_ns`` on."""
    level_ns: Mapping[RecordingLevel, int]
    """How much of the time each level was in force."""
    sums: RecordAnswer
    """``seen`` to ``cpu_ns``, and of the newest part the rest."""
    end: RecordEnd | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """A request. It ends by itself ``seconds`` after it was made."""

    id: str
    vm: str
    host: str
    asked_ns: int
    seconds: int
    withdrawn_ns: int | None
    token: str
    """The hash of the token that asked; empty where none was needed."""
    heard_ns: int
    """When the server took the host's newest batch."""
    recorded: Recorded | None
    """None before the first answer."""

    @property
    def ends_ns(self) -> int:
        """When its time is over."""
        return self.asked_ns + self.seconds * NS_PER_S


class OpenRequest(NamedTuple):
    """A request as a host gets it. ``vm``: as the host calls it; ``left_ns`` 0: it was withdrawn."""

    id: str
    vm: str
    left_ns: int


class RecordRequests(Protocol):
    """Keeps requests. ``now_ns``: by the clock that all servers on the database share."""

    def add_record_request(self, vm_id: str, request: str, seconds: int, token: str, now_ns: int) -> None:
        """Add a request for a VM, and forget old ones.

        :param request: its id, 16 hexadecimal digits
        :raises NotFoundError: there is no such VM
        :raises NotPossibleError: nothing can be recorded of it
        :raises NotNowError: too many are open
        """

    def withdraw_record_request(self, vm_id: str, request: str, now_ns: int) -> None:
        """Withdraw a request. One that is over, or was withdrawn, stays as it is.

        :raises NotFoundError: the VM has no such request
        """

    def record_requests(self, vm_id: str) -> Sequence[RecordRequest]:
        """Return the requests for a VM, newest first. :raises NotFoundError: there is no such VM"""

    def open_record_requests(self, now_ns: int) -> Mapping[str, Sequence[OpenRequest]]:
        """Return what each host is asked for, by the name that its collector gives."""
