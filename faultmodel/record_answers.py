# SPDX-License-Identifier: Apache-2.0
"""What became of a request to record every fault of a VM, as a collector tells the server that asked."""

from typing import Annotated

from msgspec import Meta, Struct

from faultmodel.kinds import RecordEnd, RecordingLevel
from faultmodel.record import U32, TimeNs

LONGEST_S = 3600
"""No request lasts longer."""
MOST_OPEN = 10
"""Of one host that are open at a time."""
RequestId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
Sum = Annotated[int, Meta(ge=0, le=2**48)]
"""Of an hour: of ns 78 hours, of faults 10^14."""
_Ppm = Annotated[int, Meta(ge=0, le=2**32)]


class RecordAnswer(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The sums of a request up to ``time_ns``: of one ``part``, which is new with each start of the counting.

    Sums are of complete readings after the request, over a time that ends at ``time_ns`` and is as long as
    ``all_ns``, ``sample_ns`` and ``none_ns`` together: so long each level was in force.
    """

    time_ns: TimeNs
    request: RequestId
    part: U32
    is_found: bool
    """Whether the collector knows the VM."""
    level: RecordingLevel
    """From now on."""
    all_ns: Sum = 0
    sample_ns: Sum = 0
    none_ns: Sum = 0
    seen: Sum = 0
    recorded: Sum = 0
    dropped: Sum = 0
    """Faults whose record found the ring buffer full. The rest of ``seen`` was left out."""
    late: Sum = 0
    """Of the faults left out: those before the collector knew that the request means their VM."""
    missed: Sum = 0
    """Events of the whole host that cannot be attributed to a VM. Some may be such faults."""
    dropped_batches: Sum = 0
    """Batches that the spool dropped in that time. Some may have had such faults."""
    cpu_ns: Sum = 0
    """CPU time of the collector in that time."""
    usual_cpu_ns: Sum | None = None
    """What it would have used in that time as before the request; None where it did not run before."""
    used_ppm: _Ppm | None = None
    """Where the budget did not allow all: the share of a core that was used when less was recorded."""
    granted_ppm: _Ppm | None = None
    end: RecordEnd | None = None
    """Why it is over; None while it goes on."""
