# SPDX-License-Identifier: Apache-2.0
"""As of which batches an answer is."""

from pydantic import BaseModel, Field

from backend.api.schemas.fields import HostText, TimeText


class NewestBatch(BaseModel):
    """The newest batch of a host that the answer knows of."""

    host: HostText = Field(examples=["host-1"])
    stream: str = Field(
        description="The host's newest: a collector begins another with each start",
        examples=["6f1d0c9a52a54ad58f430f6b1f0d7a11"],
    )
    batch: int = Field(
        description="The greatest number in that stream. One before it may still be under way.", examples=[41]
    )
    changes: int = Field(
        description="Another one after each batch of the host, late ones too, and after each removal: where "
        "it is the same in two answers, they are of the same state of this host",
        examples=[42],
    )
    covered_to: TimeText | None = Field(description="End of the covered time; null where none was covered")


class AsOf(BaseModel):
    """The state that the whole answer is of: one moment, also where it was put together from many reads."""

    hosts: list[NewestBatch] = Field(
        description="By name: the hosts that the question names, or whose VMs it names; else those that were "
        "heard of last"
    )
    left_out: int = Field(description="How many more hosts there are", examples=[0])
