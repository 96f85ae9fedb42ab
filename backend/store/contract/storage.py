# SPDX-License-Identifier: Apache-2.0
"""What is stored: how far back it reaches, and what it takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.store.contract.series import Metric


class FreeSpace(StrEnum):
    """What becomes of the space of what is removed."""

    GIVEN_BACK = "given_back"
    """The file gets smaller."""
    KEPT_UNTIL_COMPACTED = "kept_until_compacted"
    """It is used for new rows, and the file stays as large, until it is written anew once."""
    REUSED = "reused"
    """That of rows is used for new ones, and their files stay as large; partitions go with their files."""


@dataclass(frozen=True, slots=True)
class Size:
    """What something took when it was measured. ``bytes``: indexes included.

    ``is_about``: whether a figure is an estimate. ``measured_ns``: UTC; None, as the others are, where it was
    not measured yet, or takes too long to be.
    """

    rows: int | None = None
    bytes: int | None = None
    is_about: bool = True
    measured_ns: int | None = None


def added(sizes: Iterable[Size]) -> Size:
    """Return the sizes of several things together: not known where one is not."""
    found = list(sizes)
    rows = [size.rows for size in found if size.rows is not None]
    all_bytes = [size.bytes for size in found if size.bytes is not None]
    measured = [size.measured_ns for size in found if size.measured_ns is not None]
    if not found or not len(rows) == len(all_bytes) == len(measured) == len(found):
        return Size()
    return Size(sum(rows), sum(all_bytes), any(size.is_about for size in found), min(measured))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLevel:
    """A level of counts. ``length_s``: of its buckets; ``age_s``: up to which it is kept, None for ever.

    ``kept_from_s``: from when on it is kept, None from the beginning. ``pending``: ranges of time that are
    yet to be summed up to it; ``pending_from_s``: the start of the earliest, None where there is none.
    """

    length_s: int
    age_s: int | None
    kept_from_s: int | None
    pending: int
    pending_from_s: int | None
    sizes: Mapping[Metric, Size]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecords:
    """Records of exits or of single faults: ``age_s`` and ``kept_from_s`` as a level has them."""

    age_s: int | None
    kept_from_s: int | None
    size: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What is stored, and how long. ``levels``: the finest first. ``bytes``: of the whole database.

    ``free_bytes``: what of that is free, None where it is not known. ``used_bytes``: what is stored takes; an
    estimate where ``used_is_about``. ``max_bytes``: it may take so many, None for any number.
    """

    levels: Sequence[StoredLevel]
    exits: StoredRecords
    faults: StoredRecords
    bytes: int
    free_bytes: int | None
    free_space: FreeSpace
    used_bytes: int
    used_is_about: bool
    max_bytes: int | None
