# SPDX-License-Identifier: Apache-2.0
"""What vCPUs waited for, and how long VMs and hosts stood still for it."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, HostText, NextCursor
from backend.api.schemas.series import CoveredSpan
from backend.api.schemas.stalls import MeasuredBy
from backend.api.schemas.vms import Counted
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from faultmodel.waits import WaitsFor

_VM = Field(examples=["00000000000000a1"])
_SECONDS = Field(ge=0, examples=[2.9])
_VMS_LEFT_OUT = Field(
    description="VMs of the range that were not looked through, as there are too many", examples=[0]
)
_KEPT_FROM = Field(description="As of rates", examples=[None])
_COVERAGE = Field(description="As of rates, while the VMs were there")
_Percent = Annotated[float | None, Field(ge=0, examples=[12.5])]


class WaitDetail(BaseModel):
    """One lock, or one stack, of a wait."""

    detail: str = Field(
        description="Of `lock` the kernel function that waits for it; of `other` the functions that the vCPU "
        "slept in, innermost first",
        examples=["rwsem_down_read_slowpath"],
    )
    count: Count
    seconds: float = _SECONDS


class Wait(BaseModel):
    """What the vCPUs of one VM waited for while they were asleep in faults."""

    vm: str = _VM
    waits_for: WaitsFor
    count: Count = Field(description="How often a vCPU went to sleep for it, and ran again")
    seconds: float = Field(ge=0, description="All vCPUs together: exact", examples=[2.9])
    share: float = Field(description="Of all that the VM waited", examples=[0.935])
    details: list[WaitDetail] = Field(description="Of `lock` and `other`: the 20 longest")
    details_left_out: int = Field(description="How many more there are", examples=[0])


class WaitTotal(BaseModel):
    """The same of all VMs together."""

    waits_for: WaitsFor
    count: Count
    seconds: float = _SECONDS


class Waits(BaseModel):
    """What vCPUs waited for, by VM."""

    items: list[Wait] = Field(description="The longest first")
    next_cursor: NextCursor
    totals: list[WaitTotal] = Field(description="Of all pages, the longest first")
    blocked_s: float | None = Field(
        ge=0, description="All of it; null where no host shows when vCPUs are asleep", examples=[3.1]
    )
    measured_by: list[MeasuredBy] = Field(description="Of the hosts of all of them, by name")
    counted: Counted | None
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class WaitLine(BaseModel):
    """What was waited for, over time."""

    waits_for: WaitsFor
    total_s: float = Field(description="In the steps", examples=[2.9])
    seconds: list[float | None] = Field(description="In each step; null where nothing is known of it")


class WaitSeries(BaseModel):
    """What vCPUs waited for, over time. Each list of seconds has an item for each step."""

    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")
    series: list[WaitLine] = Field(description="The longest first")
    coverage: list[CoveredSpan] = _COVERAGE
    kept_from_ms: int | None = _KEPT_FROM
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class PressureOf(BaseModel):
    """A line of PSI. Averages are plain means, in percent of the covered time; null where none was."""

    avg10: _Percent = Field(description="Of the newest 10 s")
    avg60: _Percent = Field(description="Of the newest 60 s")
    avg300: _Percent = Field(description="Of the newest 300 s")
    total_us: int = Field(description="In the whole range, µs", examples=[2000000])


class HostPressure(BaseModel):
    """How long the VMs of a host stood still, taken together."""

    host: HostText = Field(examples=["host-1"])
    some: PressureOf = Field(description="At least one vCPU was asleep in a fault")
    full: PressureOf = Field(description="And no other ran")
    at_ms: int | None = Field(
        description="Where the averages end, UTC ms: the newest second that was read whole; null where the "
        "host was not read at the range's end any more",
        examples=[1795381229000],
    )


class VmPressure(HostPressure):
    """How long a VM stood still."""

    vm: str = _VM


class Pressures(BaseModel):
    """Pressure of VMs and of hosts, where it is shown."""

    items: list[VmPressure] = Field(description="The greatest average of 10 s first")
    next_cursor: NextCursor
    hosts: list[HostPressure] = Field(description="Of these VMs, and those that `host` names; by name")
    measured_by: list[MeasuredBy]
    counted: Counted | None
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class PressureSeries(BaseModel):
    """A VM's pressure over time. Each list has an item for each step; null where nothing is known of it."""

    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")
    some: list[_Percent] = Field(description="Of the step's covered time, in percent")
    full: list[_Percent]
    coverage: list[CoveredSpan] = _COVERAGE
    kept_from_ms: int | None = _KEPT_FROM
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
