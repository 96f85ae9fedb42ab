# SPDX-License-Identifier: Apache-2.0
"""Alerts: what a store keeps of them, so that one is the same whichever server judges its rule."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from backend.store.contract.jobs import JobClaim
from backend.store.contract.values import TimeRange

MOST_OPEN = 10_000
"""Alerts that may be open at once."""
MOST_RESOLVED = 10_000
KEPT_RESOLVED_NS = 30 * 86_400 * 10**9
"""Resolved ones are kept for so long, and no more than so many."""
NO_VM = 0
"""In place of a VM's number: the alert is of its host."""


class AlertState(StrEnum):
    """What an alert is."""

    PENDING = "pending"
    """Its rule holds, and not for as long yet as it must."""
    FIRING = "firing"
    RESOLVED = "resolved"


class AlertEnd(StrEnum):
    """Why an alert that had fired was resolved."""

    BACK = "back"
    """The value is on the other side of the threshold again."""
    SUBJECT_GONE = "subject_gone"
    """The VM ended; the collector was stopped in order."""
    RULE_GONE = "rule_gone"
    """The rule is switched off, removed, or no longer of this VM or host."""


class Notice(StrEnum):
    """What was sent outside of an alert."""

    NONE = "none"
    FIRING = "firing"
    RESOLVED = "resolved"
    LOST = "lost"
    """It was over before anybody took that it fires; or nobody took that it is over."""


class AlertKey(NamedTuple):
    """What an alert is of: at any time one is open. ``vm``: the VM's number, ``NO_VM`` of a host's."""

    rule: str
    host: str
    vm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert, with what its rule said when it was judged last. Times: UTC ns.

    ``vm_id``, ``vm_name``: as the catalog has them, empty of a host's. ``since_ns``: from when on the rule
    has held; ``known_ns``: when that was last known. ``notified_ns``: when a receiver took ``notice``.
    """

    key: AlertKey
    vm_id: str = field(default="", compare=False)
    vm_name: str = field(default="", compare=False)
    state: AlertState
    since_ns: int
    firing_ns: int | None = None
    resolved_ns: int | None = None
    end: AlertEnd | None = None
    known_ns: int
    value: float
    threshold: float
    watch: str
    comparison: str
    severity: str
    summary: str
    runbook: str
    notice: Notice = field(default=Notice.NONE, compare=False)
    notified_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanges:
    """What a round changes. ``stored``: alerts as they are now; ``forgotten``: those that are none."""

    stored: Sequence[Alert]
    forgotten: Sequence[Alert]


class Alerts(Protocol):
    """The part of a store that keeps alerts."""

    def open_alerts(self) -> Sequence[Alert]:
        """Return those that are pending or firing; no order."""

    def alerts(self, span: TimeRange, states: Collection[AlertState]) -> Sequence[Alert]:
        """Return those of these states that were open at some time of the range, the newest first."""

    def change_alerts(self, changes: AlertChanges, now_ns: int, claim: JobClaim) -> None:
        """Change alerts in one transaction, and forget resolved ones that are too old, or too many.

        Those of hosts that are not there any more are left out.

        :raises LostJobError: another server has taken over the job; nothing changes
        """

    def due_notices(self, before_ns: int, limit: int) -> Sequence[Alert]:
        """Return alerts that are to be sent: first those that never were.

        They fire, and no receiver took that since ``before_ns``; or they are over, and the last that one took
        is that they fire.
        """

    def note_notices(self, sent: Sequence[Alert], now_ns: int, claim: JobClaim) -> None:
        """Note that a receiver took these alerts as they are given.

        :raises LostJobError: another server has taken over the job; nothing changes
        """

    def give_up_notices(self, before_ns: int, claim: JobClaim) -> None:
        """Note as lost what will never be sent: an alert that was resolved before, of which a receiver
        knows only that it fires; and one that was resolved since, and of which none knows.

        :raises LostJobError: another server has taken over the job; nothing changes
        """

    def lost_notices(self) -> int:
        """Return of how many alerts that are kept a notice was lost."""
