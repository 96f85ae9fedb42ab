# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a guest.

DemoError
 ├─ KvmUnavailableError   this host, or this process, cannot run guests
 └─ GuestError            a guest did what it was not asked for
"""


class DemoError(Exception):
    """A demonstration guest cannot be run as asked; the message is one line for the user."""


class KvmUnavailableError(DemoError):
    """KVM, or one thing of it, is missing on this host."""


class GuestError(DemoError):
    """The guest left the processor for a reason that was not asked for."""
