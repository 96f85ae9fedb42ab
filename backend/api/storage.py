# SPDX-License-Identifier: Apache-2.0
"""What is kept how long, and how far back it reaches."""

from fastapi import APIRouter

from backend.api import schemas
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.store.contract.storage import Size, StoredLevel, StoredRecords
from backend.times import rfc3339_ns
from faultmodel.units import NS_PER_S

router = APIRouter(prefix="/api/v1/storage", tags=["Status"], route_class=ReadingRoute)


@router.get("", responses=reader_problems())
def show_storage(services: ServicesDep) -> schemas.Storage:
    """Show at which levels counts are kept, how far back each reaches, and what is yet to be summed up."""
    found = services.store.storage()
    return schemas.Storage(
        levels=[_level_body(level) for level in found.levels],
        exits=_records_body(found.exits),
        faults=_records_body(found.faults),
        bytes=found.bytes,
        free_bytes=found.free_bytes,
        free_space=found.free_space,
        used_bytes=found.used_bytes,
        used_is_about=found.used_is_about,
        max_bytes=found.max_bytes,
    )


def _records_body(records: StoredRecords) -> schemas.StoredRecords:
    return schemas.StoredRecords(
        age_s=records.age_s, kept_from=_time(records.kept_from_s), size=_size_body(records.size)
    )


def _level_body(level: StoredLevel) -> schemas.StoredLevel:
    return schemas.StoredLevel(
        bucket_s=level.length_s,
        age_s=level.age_s,
        kept_from=_time(level.kept_from_s),
        pending=level.pending,
        pending_from=_time(level.pending_from_s),
        sizes=schemas.StoredSizes(**{metric.value: _size_body(size) for metric, size in level.sizes.items()}),
    )


def _size_body(size: Size) -> schemas.StoredSize:
    return schemas.StoredSize(
        rows=size.rows,
        bytes=size.bytes,
        is_about=size.is_about,
        measured=None if size.measured_ns is None else rfc3339_ns(size.measured_ns),
    )


def _time(time_s: int | None) -> str | None:
    return None if time_s is None else rfc3339_ns(time_s * NS_PER_S)
