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


class Settled(NamedTuple):
    """``to``: nothing will be stored with this number, or a smaller one, any more.

    ``newest``: the greatest number that was given. Between the two some are being stored now, and some never
    will be.
    """

    to: int
    newest: int


class Arrival(NamedTuple):
    """An item that was stored. ``item``: of an exit its ``RecordRow``."""

    position: int
    kind: ArrivalKind
    vm: VmMember
    item: Any


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The first items after a number. ``to``: there are no others up to this number.

    ``kept_from_s``: what is older is not kept and not among them, s since the epoch; None where all is kept.
    """

    items: Sequence[Arrival]
    to: int
    kept_from_s: int | None


@dataclass(frozen=True, slots=True)
class ArrivalCount:
    """How many items of a VM there are between two numbers, and the times of the earliest and the latest."""

    vm: VmMember
    count: int
    first_ns: int
    last_ns: int
