# SPDX-License-Identifier: Apache-2.0
"""What is stored."""

from pydantic import BaseModel, Field

from backend.api.schemas.fields import TimeText


class StoredLevel(BaseModel):
    """A level of history: counts in buckets of one length."""

    bucket_s: int = Field(description="Length of its buckets in s", examples=[60])
    pending: int = Field(
        description="How many ranges of time are yet to be summed up to it: answers read them from the level "
        "below",
        examples=[1],
    )
    pending_from: TimeText | None = Field(description="Where the first of them starts; null without one")


class Storage(BaseModel):
    """What is stored."""

    levels: list[StoredLevel] = Field(description="The shortest buckets first")
    bytes: int = Field(description="What the whole database takes", examples=[81_920])
