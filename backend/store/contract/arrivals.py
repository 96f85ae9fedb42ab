# SPDX-License-Identifier: Apache-2.0
"""What was stored, in the order of its numbers: for whoever follows it and must miss nothing.

Each item gets a number as it is stored, greater than all that are settled, whichever server stores it and
however long ago it was. A number is never given again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from backend.store.contract.vms import VmMember


class ArrivalKind(StrEnum):
    """What it is that was stored."""

    EXIT = "exit"
    LIVELOCK = "livelock"
    """One has begun, or is over."""
    OUTSTANDING = "outstanding"
    """A fault under way is listed first, or what it waits for or its handler's state has changed."""
    RESOLVED = "resolved"
    """It has ended: it is not listed any more."""
    NOT_SHOWN = "not_shown"
    """It is not listed any more, nor is any other: its host does not look now, so that it may not have
    ended."""


class Settled(NamedTuple):
    """``to``: nothing will be stored with this number, or a smaller one, any more.

    ``newest``: the greatest number that was given. Between the two some are being stored now, and some never
    will be.
    """

    to: int
    newest: int


class Arrival(NamedTuple):
    """An item that was stored.

    ``item``: of an exit its ``RecordRow``, of a livelock its ``KnownLivelock``, of a fault under way its
    ``KnownOutstanding``; of one that is resolved or not shown, as it was listed last.
    """

    position: int
    kind: ArrivalKind
    vm: VmMember
    item: Any


class KeptChanges(NamedTuple):
    """Which of the items that are no exits are kept: those behind a number.

    ``from_s``: those that were stored since then are among them, s since the epoch.
    """

    after: int
    from_s: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The first items after a number. ``to``: there are no others up to this number.

    ``kept_from_s``: exits that are older are not kept and not among them, s since the epoch; None where all
    are kept. ``changes``: the same of the others.
    """

    items: Sequence[Arrival]
    to: int
    kept_from_s: int | None
    changes: KeptChanges | None


@dataclass(frozen=True, slots=True)
class ArrivalCount:
    """How many items of a kind of a VM there are between two numbers, and the times of the earliest and the
    latest."""

    vm: VmMember
    kind: ArrivalKind
    count: int
    first_ns: int
    last_ns: int
