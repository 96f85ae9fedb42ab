# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector detach``: removes what a collector that was killed left counting."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from collector.counting.pinned_sets import find_sets
from collector.counting.pins import Pins
from collector.errors import CollectorError, SpoolError
from collector.private_files import check_data_directory
from collector.settings import pins_file, spool_directory
from collector.spool.lock import lock


def add_parser(commands: "argparse._SubParsersAction[Any]", data_dir: str, bpffs: str) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "detach",
        help="remove programs and maps that a killed collector left counting",
        description="Programs and maps outlive a collector that is killed, so that its successor misses"
        " nothing. If there will be no successor, this removes them.",
    )
    parser.add_argument(
        "--data-dir", type=Path, default=Path(data_dir), help="of the collector (%(default)s)"
    )
    parser.add_argument("--bpffs", type=Path, default=Path(bpffs), help="of the collector (%(default)s)")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also what other collectors left, but nothing that a collector reads",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Remove them; 0 also where there were none.

    :raises CollectorError: a collector is running there, or they cannot be removed
    """
    if options.data_dir.is_dir() and not options.all:
        check_data_directory(options.data_dir)
    try:
        if options.all:
            removed, read = _remove_all(options.bpffs)
        else:
            pins = Pins(pins_file(options.data_dir), options.bpffs)
            removed, read = _remove(pins, spool_directory(options.data_dir))
    except OSError as exc:
        raise CollectorError(f"cannot remove {exc.filename or options.bpffs}: {exc.strerror}") from exc
    sys.stdout.write(f"removed {_sets(removed)} of programs and maps\n")
    if read:
        sys.stdout.write(f"left {_sets(read)} that a running collector reads\n")
    return 0


def _remove(pins: Pins, spool: Path) -> tuple[int, int]:
    if not spool.is_dir():
        return _unpin(pins)
    try:
        held = lock(spool / "lock")
    except SpoolError as exc:
        raise CollectorError(f"a collector is running: stop it, that also detaches ({exc})") from exc
    try:
        return _unpin(pins)
    finally:
        os.close(held)


def _unpin(pins: Pins) -> tuple[int, int]:
    """Return how many were removed, and how many another collector reads, which stay."""
    if pins.are_read():
        return 0, 1
    return int(pins.unpin()), 0


def _remove_all(bpffs: Path) -> tuple[int, int]:
    """Return how many were removed, and how many are read and stay."""
    removed = read = 0
    for pinned in find_sets(bpffs):
        if pinned.is_read():
            read += 1
        else:
            removed += pinned.remove()
    return removed, read


def _sets(number: int) -> str:
    return f"{number} set" if number == 1 else f"{number} sets"
