"""Opens a set of programs and maps that an earlier collector left running."""

import os
from pathlib import Path

from collector.errors import PinnedError
from collector.probe import syscall
from collector.probe.earlier import LACKING, LAYOUT, EarlierProbes
from collector.probe.handles import Handles
from collector.probe.layout import ABOUT, MAPS
from collector.probe.probes import Probes, pinned_name

_FIRST = bytes(4)


def open_pinned(folder: Path, layout: bytes) -> Probes:
    """Return what an earlier collector left running under this folder.

    :param layout: of this version's maps, see ``source.layout_digest``; the version before's are read too
    :raises PinnedError: it is not whole, or its maps are laid out otherwise
    :raises OSError: the kernel refuses; another time it may not
    """
    fds: dict[str, int] = {}
    try:
        # Before any other map is looked at: what this one tells of may lack some, or have others.
        found = _layout_of(folder / pinned_name("map/about"))
        if found not in (layout, LAYOUT):
            raise PinnedError("it is of another version, whose last counts this one cannot read")
        for path in folder.iterdir():
            fds[path.name.replace("-", "/", 1)] = syscall.open_pinned(path)
        handles = Handles.named(fds)
        # Links are pinned last and unpinned first: with all of them the set is whole.
        if not handles.links or handles.links.keys() != handles.programs.keys():
            raise PinnedError(f"{len(handles.links)} of {len(handles.programs)} programs are attached")
        for name in MAPS:
            if name not in handles.maps and not (found == LAYOUT and name in LACKING):
                raise PinnedError(f"it has no map {name}")
        return EarlierProbes(handles) if found == LAYOUT else Probes(handles)
    except (OSError, PinnedError):
        for fd in fds.values():
            os.close(fd)
        raise


def _layout_of(about: Path) -> bytes:
    if not about.exists():
        raise PinnedError("it does not say what it is")
    fd = syscall.open_pinned(about)
    try:
        table = syscall.open_map(fd)
        value = syscall.lookup(table, _FIRST) if table.value_size == ABOUT.size else None
    finally:
        os.close(fd)
    return b"" if value is None else bytes(ABOUT.unpack(value)[2])
