# SPDX-License-Identifier: Apache-2.0
"""What is counted of how long guests stand still: stalls, what they wait for, pressure.

A fault *stalls* its vCPU from its first event until the guest goes on, or the fault is handed to user space.
Of that time the vCPU is *blocked* while its thread is asleep, until it runs again; otherwise it is *running*,
also where other threads have its CPU. Times are durations, in ns.
"""

from typing import Annotated

from msgspec import Meta, Struct

from faultmodel.causes import Cause
from faultmodel.outcomes import Outcome
from faultmodel.record import U32, Access, Count, DescribedVm, LongText, Text, TimeMs, TimeNs
from faultmodel.stalls import LAST_OCTAVE, UNTIMED
from faultmodel.waits import WaitsFor

Octave = Annotated[int, Meta(ge=UNTIMED, le=LAST_OCTAVE)]


class StallCount(Struct, frozen=True, array_like=True, gc=False):
    """Faults of one VM that ended in one bucket, of one octave of time (``faultmodel.stalls``).

    ``q0`` to ``q3`` count the quarters of the octave. Those whose time was not taken are in the octave
    ``UNTIMED``, all of them in ``q0``, and have no times.
    """

    bucket_ms: TimeMs
    vm: DescribedVm
    access: Access
    outcome: Outcome
    nested: bool
    octave: Octave
    q0: Count
    q1: Count
    q2: Count
    q3: Count
    running_ns: Count
    blocked_ns: Count
    max_ns: Count
    """The longest of them, or what is known of it: no less than the shortest that its bucket has."""


class VcpuStall(Struct, frozen=True, array_like=True, gc=False):
    """Faults of one vCPU that ended in one bucket: ``timed`` of the ``count`` have times."""

    bucket_ms: TimeMs
    vm: DescribedVm
    vcpu: U32
    count: Count
    timed: Count
    running_ns: Count
    blocked_ns: Count
    max_ns: Count


class StallEntry(Struct, frozen=True, array_like=True, gc=False):
    """What became of one VM's faults that ended between two readings.

    It balances, or the batch that carries it is refused: ``ended = stalled + uncounted``; ``stalled`` is the
    sum of the VM's ``stalls`` in the same batch.
    """

    bucket_ms: TimeMs
    """The bucket in which the reading's span begins."""
    vm: DescribedVm
    ended: Count
    stalled: Count
    uncounted: Count
    """Ended, and found no place in a histogram: the map of stalls was full."""


class WaitCount(Struct, frozen=True, array_like=True, gc=False):
    """How often vCPUs of one VM were asleep in faults in one bucket, and how long."""

    bucket_ms: TimeMs
    vm: DescribedVm
    waits_for: WaitsFor
    detail: Text
    """Of ``lock`` the kernel function that waits for it. Of ``other`` the functions that it slept in,
    innermost first, with `` < `` between them. Else empty."""
    count: Count
    ns: Count


class Pressure(Struct, frozen=True, array_like=True, gc=False):
    """How long in one bucket a VM stood still in part or as a whole, as PSI has it.

    ``some_ns``: at least one vCPU was blocked in a fault. ``full_ns``: and no other ran.
    """

    bucket_ms: TimeMs
    vm: DescribedVm
    some_ns: Count
    full_ns: Count


class HostPressure(Struct, frozen=True, array_like=True, gc=False):
    """The same of all VMs of a host together."""

    bucket_ms: TimeMs
    some_ns: Count
    full_ns: Count


class CauseCount(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Exits of one vCPU that had one cause.

    ``time_ns`` is when the last of them was, ``span_ns`` how long before that the first.
    """

    time_ns: TimeNs
    vm: DescribedVm
    vcpu: U32
    cause: Cause
    count: Count
    span_ns: Count = 0
    evidence: LongText = ""
    """What was found, of the last: an object in JSON."""
