# SPDX-License-Identifier: Apache-2.0
"""Opens a pinned set of programs and maps."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from collector.errors import PinnedError
from collector.probe import compiled, earlier, renamed, syscall
from collector.probe.compiled import Layout
from collector.probe.handles import Handles
from collector.probe.layout import (
    CONCERNS,
    COUNTS,
    FORMATS,
    LAYOUT_MAP,
    MEANINGS,
    NOT_IN_EARLIER,
    RECORDS,
    SHEDDABLE,
    About,
)
from collector.probe.probes import Probes
from collector.probe.shedding import pinned_name
from collector.probe.syscall import Map
from collector.probe.view import View
from collector.probe.views import RecordViews, fits

R = TypeVar("R")
_FIRST = bytes(4)
_OTHER = "it is of another version, whose last counts this one cannot read"


def open_pinned(folder: Path) -> Probes:
    """Return the set that an earlier collector, perhaps of another version, left counting under a folder.

    The set is read by its own layout. It must have the maps that count (``layout.COUNTS``), with the same
    meaning. If its records have another form or meaning, they are not read, and count as lost. Further maps
    and programs of the set do not matter.

    :raises PinnedError: the set is incomplete, or its counts have another meaning
    :raises OSError: the kernel refuses now, but may not later
    """
    # The layout first: the set may lack other maps, or have more.
    layout = _layout_in(folder)
    with ExitStack() as undo:
        fds: dict[str, int] = {}
        for path in folder.iterdir():
            fd = syscall.open_pinned(path)
            undo.callback(os.close, fd)
            fds[renamed.handle_name(path.name.replace("-", "/", 1))] = fd
        handles = Handles.named(fds)
        # Links are pinned last and unpinned first: a set with all links is complete, but for what is shed.
        detached = handles.programs.keys() - handles.links.keys()
        if not handles.links or detached - SHEDDABLE:
            raise PinnedError(f"{len(handles.links)} of {len(handles.programs)} programs are attached")
        _check_programs(layout, handles)
        probes = Probes(handles, layout, _readable(layout, handles), folder)
        undo.pop_all()
    return probes


def about_pinned(folder: Path) -> About | None:
    """Return the map ``about`` of a pinned set; None if it is missing or cannot be understood.

    :raises OSError: the kernel refuses
    """
    try:
        view = View.of(_layout_in(folder).value("about"), About)
    except PinnedError:
        return None
    value = _read(folder, "about", lambda table: syscall.lookup(table, _FIRST))
    return None if value is None or len(value) != view.size else view.unpack(value)


def _layout_in(folder: Path) -> Layout:
    if not (folder / pinned_name("map/about")).exists():
        raise PinnedError("it has no map about, which says what it is")
    if (folder / pinned_name(f"map/{LAYOUT_MAP}")).exists():
        return _read(folder, LAYOUT_MAP, compiled.read)
    found = _read(folder, "about", earlier.layout_of)
    if found is None:
        raise PinnedError(_OTHER)
    return found


def _read(folder: Path, name: str, read: Callable[[Map], R]) -> R:
    fd = syscall.open_pinned(folder / pinned_name(f"map/{name}"))
    try:
        return read(syscall.open_map(fd))
    finally:
        os.close(fd)


def _check_programs(layout: Layout, handles: Handles) -> None:
    """:raises PinnedError: a program that counts is missing"""
    if LAYOUT_MAP not in handles.maps or COUNTS not in layout.concerns:
        # ``earlier`` has the programs that such a version may have.
        return
    for name in layout.concerns[COUNTS].programs:
        if name not in handles.programs:
            raise PinnedError(f"it has no program {name}")


def _readable(layout: Layout, handles: Handles) -> list[str]:
    """The concerns that can be read. :raises PinnedError: the counts cannot"""
    if not layout.formats.items() <= FORMATS.items():
        raise PinnedError(_OTHER)
    readable = []
    for concern in CONCERNS:
        try:
            _check(layout, handles, concern)
            if concern == RECORDS:
                RecordViews(layout)
        except PinnedError:
            if concern == COUNTS:
                raise
        else:
            readable.append(concern)
    return readable


def _check(layout: Layout, handles: Handles, concern: str) -> None:
    found = layout.concerns.get(concern)
    if found is None or found.meaning != MEANINGS[concern]:
        raise PinnedError(_OTHER)
    for name in CONCERNS[concern]:
        if name not in found.maps:
            if name in NOT_IN_EARLIER:
                continue
            raise PinnedError(_OTHER)
        if name not in handles.maps:
            raise PinnedError(f"it has no map {name}")
        if not fits(layout, name, syscall.open_map(handles.maps[name])):
            raise PinnedError(_OTHER)
