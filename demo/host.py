# SPDX-License-Identifier: Apache-2.0
"""The processor of this host.

To add an architecture, write one file with a class that has the members of ``demo.machine.Machine`` and
name it in ``_MACHINES``.
"""

import platform
from collections.abc import Callable, Iterable, Mapping

from demo.arm64 import Arm64Machine
from demo.errors import KvmUnavailableError
from demo.machine import Machine
from demo.x86_64 import X86Machine

_MACHINES: Mapping[str, Callable[[Iterable[range]], Machine]] = {
    "x86_64": X86Machine,
    "aarch64": Arm64Machine,
}


def machine_for_host(small_pages: Iterable[range]) -> Machine:
    """Return this host's processor, with page tables for 4 KiB pages over the ranges of addresses.

    All other memory is mapped by 2 MiB pages.

    :raises KvmUnavailableError: there are no demonstration guests for this architecture
    """
    name = platform.machine()
    if name not in _MACHINES:
        raise KvmUnavailableError(f"no demonstration guests for {name}; there are for {', '.join(_MACHINES)}")
    return _MACHINES[name](small_pages)
