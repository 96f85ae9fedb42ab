# SPDX-License-Identifier: Apache-2.0
"""What an answer cannot know of its range."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from backend.api.schemas.fields import HostText


class WarningCode(StrEnum):
    """Why something of the range is not in the answer."""

    OLDER_THAN_KEPT = "older_than_kept"
    NOT_COVERED = "not_covered"
    STALLS_NOT_MEASURED = "stalls_not_measured"
    STALLS_PARTLY_MEASURED = "stalls_partly_measured"
    SLEEP_NOT_MEASURED = "sleep_not_measured"
    END_NOT_MEASURED = "end_not_measured"


class RangeWarning(BaseModel):
    """A part of the range that the answer has nothing, or not all, of."""

    code: WarningCode = Field(
        description="`older_than_kept`: the range begins before what is kept, or, of a chart, before what is "
        "kept in such steps; `not_covered`: its host's probes were not attached, or not read; "
        "`stalls_not_measured`, `stalls_partly_measured`: of none, or not all, of the host's faults it was "
        "measured how long they stalled vCPUs; `sleep_not_measured`: its collector had shed what shows when "
        "vCPUs are asleep, so pressure, waits and the blocked part of stalls lack that time; "
        "`end_not_measured`: it had shed what shows where stalls end, so they lasted until KVM had done what "
        "it did last about the fault, and where no event shows that, they have no time",
        examples=["not_covered"],
    )
    host: HostText | None = Field(description="null where it is about every host", examples=["host-1"])
    from_ms: int | None = Field(
        description="Where that begins, UTC ms; null for the beginning", examples=[1795381190000]
    )
    to_ms: int = Field(description="Where that ends, UTC ms", examples=[1795381202500])
    lacking_ms: int | None = Field(
        description="How much of from_ms..to_ms it is; null where it has no beginning, or of stalls",
        examples=[12500],
    )


Warnings = Annotated[
    list[RangeWarning],
    Field(
        description="What the answer cannot know of its range: empty where all of that is kept and covered"
    ),
]
WarningsLeftOut = Annotated[
    int, Field(description="How many more hosts there are such warnings of", examples=[0])
]
