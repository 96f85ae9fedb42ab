# SPDX-License-Identifier: Apache-2.0
"""Rates over time."""

from collections.abc import Iterable

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, HostText
from backend.api.schemas.warnings import Warnings, WarningsLeftOut

_COUNTS = (
    "Exact count of each step. Of level `none` below 0 where faults were mapped that began in an earlier "
    "step: the sum over both is right"
)


class Series(BaseModel):
    """One line of a chart."""

    key: HostText = Field(
        description="VM id; guest id; `VM id/vCPU`; or name of the flag, access, level or architecture",
        examples=["write"],
    )
    label: HostText = Field(description="The key for people", examples=["write"])
    total: Count = Field(description="Exact count over the steps given")
    counts: list[int] = Field(description=_COUNTS)
    values: list[float | None] = Field(
        description="Per second of the step's covered time, 0 at least; null where none of it was covered, "
        "or the VM was not there"
    )


class OtherSeries(BaseModel):
    """Series beyond the most that were asked for, added up."""

    count: Count = Field(description="How many")
    total: Count = Field(description="Exact count over the steps given")
    counts: list[int] = Field(description=_COUNTS)
    values: list[float | None] = Field(description="Per second of time that any host covered")


class CoveredSpan(BaseModel):
    """Half-open span in which a host's probes were attached and read."""

    host: HostText = Field(examples=["host-1"])
    from_ms: int
    to_ms: int
    is_recording: bool = Field(
        description="Whether the host is a replayed recording: what it does not cover is no gap of the others"
    )


class Rates(BaseModel):
    """Series on one grid of steps."""

    version: str = Field(
        description="Names this state of the counts: `after` of the next question", examples=["Zk3vQ1xA-17"]
    )
    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(
        description="Start of each step given, a multiple of the step; with `after`, those that may have "
        "changed"
    )
    series: Iterable[Series] = Field(description="Greatest total first")
    others: OtherSeries | None = Field(description="null where every series is among those")
    quiet: list[float | None] = Field(
        description="Values of a series without any count: 0 in steps of which some was covered, else null"
    )
    coverage: list[CoveredSpan] = Field(
        description="Of the whole range. Where a host has more than 200 spans in it, gaps that are shorter "
        "than a step are not listed."
    )
    kept_from_ms: int | None = Field(
        description="Where the range begins before counts are kept in such steps: from when on they are. "
        "Steps that begin earlier are null; longer steps may reach further back.",
        examples=[None],
    )
    vms_left_out: int = Field(
        description="VMs of the range that were not looked through, as there are too many: no series has "
        "their counts. A shorter range, or `host`, leaves out fewer.",
        examples=[0],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
