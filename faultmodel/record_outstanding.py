# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended."""

from msgspec import Struct

from faultmodel.record import U32, U64, Count, DescribedVm, Text, TimeNs
from faultmodel.waits import Handler, WaitsFor


class Outstanding(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A vCPU's fault that was under way at ``time_ns``.

    One whose ``handler`` is ``CLOSED`` need not be: the VM lost what was missing of its memory then.
    """

    time_ns: TimeNs
    """Of the look: see ``OutstandingLook``."""
    vm: DescribedVm
    vcpu: U32
    age_ns: Count
    """For how long the vCPU had stood still; of ``CLOSED``, how long before the userfaultfd was closed."""
    gpa: U64 | None = None
    gva: U64 | None = None
    """Address, guest-physical and guest-virtual; None where it is not shown."""
    waits_for: WaitsFor | None = None
    """None where the kernel's functions are not named."""
    detail: Text = ""
    """Of ``LOCK``, the function that takes it."""
    handler: Handler | None = None
    """Of ``USERFAULTFD``, what is known of who is to provide the page; None where nothing is."""
    handler_pid: U32 | None = None
    """Of its process, where that is not the VMM's own."""


class OutstandingLook(Struct, frozen=True, array_like=True, gc=False):
    """That all faults of a host that were under way at ``time_ns`` are listed, but for ``left_out``.

    What is not in the newest list has ended.
    """

    time_ns: TimeNs
    left_out: Count
