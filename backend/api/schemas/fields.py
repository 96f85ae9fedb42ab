# SPDX-License-Identifier: Apache-2.0
"""Fields that several bodies have."""

from typing import Annotated

from pydantic import AfterValidator, Field

from faultmodel.text import printable

Count = Annotated[int, Field(ge=0, examples=[100_000])]
UnclassifiedCount = Annotated[
    int,
    Field(
        ge=0,
        description="Either of these two, in a recording that does not show which",
        examples=[0],
    ),
]
HostText = Annotated[str, AfterValidator(printable)]
"""Text from a host. A database may have texts from before they were made printable when they came."""
TimeText = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T12:00:00.000Z"])
]
ExactTimeText = Annotated[
    str,
    Field(
        description="RFC 3339 with ns",
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00.123456789Z"],
    ),
]
WordText = Annotated[str, Field(pattern="^0x[0-9a-f]{1,16}$", examples=["0x200000006"])]
Rate = Annotated[float | None, Field(description="Per second of covered time, null where none was covered")]
NextCursor = Annotated[
    str | None, Field(description="`cursor` of the next page, null on the last", examples=[None])
]
