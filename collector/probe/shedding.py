# SPDX-License-Identifier: Apache-2.0
"""Detaches single programs of a set that counts, so that they cost nothing, and attaches them again.

Whether a program is shed is not noted anywhere: its link is missing, among those that are pinned, too. So a
collector that is killed meanwhile leaves either of the two behind, and its successor knows which.
"""

from pathlib import Path

from collector.probe import syscall
from collector.probe.checkpoints import Checkpoints
from collector.probe.handles import Handles
from collector.probe.instant import now
from collector.probe.layout import SHEDDABLE
from collector.probe.maps import Maps


def shed_of(handles: Handles) -> frozenset[str]:
    """Return which programs of an attached set are detached."""
    return SHEDDABLE & (handles.programs.keys() - handles.links.keys())


def detached(handles: Handles, name: str, folder: Path | None) -> Handles:
    """Detach a program, one of SHEDDABLE, and return the handles without its link.

    :param folder: where the set is pinned
    :raises OSError: it cannot be unpinned, and is still attached
    """
    if folder is not None:
        (folder / pinned_name(f"link/{name}")).unlink(missing_ok=True)
    return handles.without(name)


def attached_again(handles: Handles, name: str, folder: Path | None) -> Handles:
    """Attach a program again, and return the handles with its link.

    :raises OSError: the kernel refuses; it is not attached
    """
    again = handles.attached_again(name)
    try:
        if folder is not None:
            syscall.pin(again.links[name], folder / pinned_name(f"link/{name}"))
    except OSError:
        again.without(name)
        raise
    return again


def begin_sleeps_anew(maps: Maps, checkpoints: Checkpoints) -> None:
    """Forget who was asleep when the scheduler's program was shed (sched_switch.bpf.h). It must not run.

    :raises OSError: the kernel refuses
    """
    views = maps.views.waits
    if views is None or views.switches_since is None:
        return
    maps.set_value("switches_since_ns", views.switches_since.pack(now().monotonic_ns))
    maps.set_value("gone_vcpus", views.gone_vcpus.pack(0))
    for key, _ in maps.entries("pressures"):
        # Should this process be killed in between, the next one finds the entry, and removes both.
        checkpoints.forget("pressures", key)
        syscall.delete(maps["pressures"], key)


def switches_since_ns(maps: Maps) -> int:
    """Return from when on sleeps are seen, monotonic; 0: from the beginning.

    :raises OSError: the kernel refuses
    """
    views = maps.views.waits
    if views is None or views.switches_since is None:
        return 0
    return views.switches_since.unpack(maps.value("switches_since_ns"))


def pinned_name(name: str) -> str:
    """Return the file's name under which a program, map or link is pinned."""
    return name.replace("/", "-")
