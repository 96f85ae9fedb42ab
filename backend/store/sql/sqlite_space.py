# SPDX-License-Identifier: Apache-2.0
"""The space of an SQLite file: what of it is free, how it is given back, and how an old file learns to.

A file gives free pages back where it was made so (``auto_vacuum = INCREMENTAL``), which files of earlier
releases were not: to turn one, it is written anew (``VACUUM``).
"""

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Table, func, select

from backend.errors import StoreError
from backend.store.sql.series.sizes import Measured

CAN_GIVE_BACK = "PRAGMA auto_vacuum = INCREMENTAL"
"""Has an empty file be made so, and one that is written anew; any other stays as it is."""
KEEP_LOG_SMALL = "PRAGMA journal_size_limit = 67108864"
"""Has the log be cut to so many bytes once it is begun anew; else it stays as large as it ever was."""
_SPARE_SHARE = 20
"""A twentieth of the file stays free: rows are removed all the time, and as many come."""
_SHOWS_PAGES = "SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBSTAT_VTAB'"
# Of a table WITHOUT ROWID each cell is a row; of another those of leaves are.
_OF_PAGES = (
    "SELECT sum(pgsize), sum(CASE WHEN name = :name AND (pagetype = 'leaf' OR NOT :has_rowid)"
    " THEN ncell ELSE 0 END) FROM dbstat"
    " WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = :name)"
)
_BYTES_A_ROW = 45
"""As measured of fault counts."""
_INCREMENTAL = 2
_GIVE_BACK_ONE = "PRAGMA incremental_vacuum(1)"
_TEMPORARY = ("/var/tmp", "/usr/tmp", "/tmp")  # Where SQLite itself looks.
_CHECKPOINT_MS = 1000
_BYTES_A_SECOND = 20_000_000
"""To write a file anew, on two processors that were busy with other things, too."""


class Space(NamedTuple):
    """In bytes. ``gives_back``: whether free pages can be taken off the file's end."""

    page: int
    whole: int
    free: int
    gives_back: bool

    @property
    def used(self) -> int:
        """What is not free."""
        return self.whole - self.free

    @property
    def to_give_back(self) -> int:
        """What is free beyond what stays for new rows; a whole number of pages."""
        if not self.gives_back:
            return 0
        spare = self.used // _SPARE_SHARE // self.page * self.page
        return max(0, self.free - spare)


def read_space(connection: Connection) -> Space:
    """Return how much space there is."""
    page, pages, free, mode = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
    )
    return Space(page, pages * page, free * page, mode == _INCREMENTAL)


def measure(connection: Connection, table: Table) -> Measured:
    """Return what a table takes: exactly where SQLite was compiled so that it shows its pages."""
    has_rowid = table.dialect_options["sqlite"]["with_rowid"]
    if connection.exec_driver_sql(_SHOWS_PAGES).scalar() is not None:
        asked = {"name": table.name, "has_rowid": has_rowid}
        size, rows = connection.exec_driver_sql(_OF_PAGES, asked).one()
        return Measured(rows, size, is_about=False)
    rows = connection.scalar(select(func.count()).select_from(table)) or 0
    return Measured(rows, rows * _BYTES_A_ROW, is_about=True)


def give_back(connection: Connection, most: int, until_s: float) -> int:
    """Take free pages off the file's end, up to so many bytes and for a while. Return how many bytes.

    One page at a time: the driver ends a statement without rows at its first step, which is a page.
    """
    page = read_space(connection).page
    given = 0
    while given < most and time.monotonic() < until_s:
        connection.exec_driver_sql(_GIVE_BACK_ONE)
        given += page
    return given


def seconds_to_compact(space: Space) -> int:
    """Return about how long it takes to write a file anew, in s."""
    return max(1, space.used // _BYTES_A_SECOND)


def check_room(path: Path, space: Space) -> None:
    """Raise StoreError unless there is room for what SQLite writes meanwhile: a copy, and the log of it."""
    needed: dict[int, tuple[Path, int]] = {}
    for folder in (path.absolute().parent, _temporary_folder()):
        device = folder.stat().st_dev
        first, so_far = needed.get(device, (folder, 0))
        needed[device] = first, so_far + space.used
    for folder, size in needed.values():
        free = shutil.disk_usage(folder).free
        if free < size:
            raise StoreError(
                f"{size:,} bytes are needed at {folder} while the file is written anew, and {free:,} are "
                "free; nothing was changed. SQLITE_TMPDIR names another folder for the copy"
            )


def compact(driver: sqlite3.Connection) -> None:
    """Write the file anew, without what is free, so that it gives back from then on. Readers go on.

    :raises sqlite3.Error: it is locked, or there is no room
    """
    driver.execute("VACUUM")
    # Until then all of it is in the log. Where somebody reads what was before, a later checkpoint does it.
    (before_ms,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_MS}")
    try:
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        driver.execute(f"PRAGMA busy_timeout = {before_ms}")


def _temporary_folder() -> Path:
    # Source: https://www.sqlite.org/tempfiles.html, "Temporary File Storage Locations".
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), *_TEMPORARY)
    found = (Path(name) for name in named if name and Path(name).is_dir() and os.access(name, os.W_OK))
    return next(found, Path())
