# SPDX-License-Identifier: Apache-2.0
"""The server itself."""

from typing import Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from backend.api.schemas.fields import HostText, TimeText
from backend.api.schemas.hosts import Finding, Host


class JobRun(BaseModel):
    """What the server does without being asked, on one of the servers that share the database."""

    name: str = Field(examples=["sessions"])
    last: TimeText | None = Field(description="When a run ended last; null where none did yet")
    took_s: float | None = Field(description="How long that run took", examples=[0.004])
    running: bool = Field(description="Whether a server is at it")
    failed: bool = Field(description="Whether that run failed, or the server that was at it since is gone")
    detail: HostText = Field(description="Why; else empty", examples=[""])


class Status(BaseModel):
    """The server and the hosts that it hears from."""

    version: str = Field(examples=["0.1.0"])
    database: str = Field(examples=["sqlite"])
    now: TimeText
    started_at: TimeText
    expects_collector: bool
    ready: bool
    missing: str = Field(description="What keeps the server from being ready; empty where nothing does")
    news: str = Field(
        description="Another one where there is a loss or an event of a host that was not there before",
        examples=["41-12"],
    )
    asks_for_token: bool = Field(description="Whether readers must show a token or a session")
    hosts: list[Host] = Field(
        description="Every host that is traced, and those recordings that were heard of last"
    )
    recordings_left_out: int = Field(description="How many more recordings there are", examples=[0])
    findings: list[Finding] = Field(description="What is wrong with how hosts are traced: what goes on first")
    findings_left_out: int = Field(description="How many more findings there are", examples=[0])
    jobs: list[JobRun] = Field(description="Those that any server on this database began, by name")


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok", "ready"]


class NotStored(BaseModel):
    """A part of a batch that could not be stored, and counts as lost."""

    what: Literal["costs", "exits"] = Field(description="`exits` are records of exits, which are counted")
    vm: HostText | SkipJsonSchema[None] = Field(
        default=None, description="The VM, as its host reports it; left out where it is of no VM"
    )
    count: int


class RecordOrder(BaseModel):
    """A request to record every fault of a VM of the host. One that is not named goes on until its end."""

    id: str = Field(examples=["5f0c1d2e3a4b5968"])
    vm: str = Field(description="As the host calls it", examples=["00000000000000a1"])
    seconds: float = Field(description="That are left; 0: it was withdrawn", examples=[59.3])


class Applied(BaseModel):
    """A batch was taken."""

    applied: bool = Field(description="False where this batch was taken before; then nothing changed")
    not_stored: list[NotStored] | SkipJsonSchema[None] = Field(
        default=None, description="Parts that could not be stored, where there are any"
    )
    findings: list[Finding] | SkipJsonSchema[None] = Field(
        default=None, description="What is wrong with the host, as `/api/v1/status` has it, where anything is"
    )
    record: list[RecordOrder] | SkipJsonSchema[None] = Field(
        default=None, description="What the host is asked to record, where anything is"
    )


class Session(BaseModel):
    """A session was opened."""

    ends_at: TimeText
