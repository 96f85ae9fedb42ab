# SPDX-License-Identifier: Apache-2.0
"""What is kept, and how long."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.api.schemas.fields import TimeText
from backend.store.contract.storage import FreeSpace

_Age = Annotated[
    int | None, Field(description="Up to which age it is kept, in s; null for ever", examples=[1_209_600])
]
_KeptFrom = Annotated[
    TimeText | None,
    Field(description="From when on it is kept; null where nothing was removed. Of recordings, all is kept"),
]


class StoredSize(BaseModel):
    """What something takes. A server measures it every minute; what is large, less often."""

    rows: int | None = Field(description="Null where it was not measured yet", examples=[1_200_000])
    bytes: int | None = Field(description="With its indexes; null likewise", examples=[54_000_000])
    is_about: bool = Field(description="Whether a figure is an estimate: on PostgreSQL, of rows")
    measured: TimeText | None = Field(description="When it was measured; null where it was not yet")


class StoredSizes(BaseModel):
    """What counts of one level take."""

    faults: StoredSize
    exits: StoredSize
    ledger: StoredSize
    losses: StoredSize
    costs: StoredSize
    stalls: StoredSize
    vcpu_stalls: StoredSize
    stall_ledger: StoredSize
    waits: StoredSize
    pressures: StoredSize
    host_pressures: StoredSize
    causes: StoredSize
    kvm_counts: StoredSize


class StoredLevel(BaseModel):
    """A level of history: counts in buckets of one length."""

    bucket_s: int = Field(description="Length of its buckets in s", examples=[60])
    age_s: _Age
    kept_from: _KeptFrom
    pending: int = Field(
        description="How many ranges of time are yet to be summed up to it: answers read them from the level "
        "below",
        examples=[1],
    )
    pending_from: TimeText | None = Field(description="Where the first of them starts; null without one")
    sizes: StoredSizes


class StoredRecords(BaseModel):
    """Records of exits, or of single faults."""

    age_s: _Age
    kept_from: _KeptFrom
    size: StoredSize


class Storage(BaseModel):
    """What is kept, and how long."""

    levels: list[StoredLevel] = Field(description="The shortest buckets first")
    exits: StoredRecords
    faults: StoredRecords
    bytes: int = Field(description="What the whole database takes", examples=[81_920])
    free_bytes: int | None = Field(
        description="What of that is free for new rows; null where it is not known", examples=[4096]
    )
    free_space: FreeSpace = Field(
        description="What becomes of the space of what is removed: given_back (the file gets smaller), "
        "kept_until_compacted (new rows take it; `kvmfaults-server retention --compact` has the file give it "
        "back) or reused (new rows take it, and whole partitions go with their files)"
    )
    used_bytes: int = Field(description="What is stored takes, without what is free", examples=[77_824])
    used_is_about: bool = Field(description="Whether that is an estimate: on PostgreSQL it is")
    max_bytes: int | None = Field(
        description="It may take so many: beyond, the oldest of the finest is removed. Null for any number",
        examples=[9_000_000_000],
    )
