# SPDX-License-Identifier: Apache-2.0
"""Batches of a renamed host wait, put aside, for a collector of the old name with that host's token."""

import logging
from pathlib import Path

from collector.spool import file as spool_file
from collector.spool.aside import Reason
from collector.spool.peek import host_of
from collector.spool.queue import Spool

logger = logging.getLogger(__name__)


def part_by_host(spool: Spool, host: str) -> None:
    """Put aside batches of other hosts, and bring back those of this host that were put aside before.

    Call this before anything is sent. The host's name is stored in the spool's directory. Only if it has
    changed since the last call, all waiting batches are read.
    """
    for number, reason in spool.aside.items():
        if reason.host == host:
            spool.bring_back(number)
    known = spool.directory / "host"
    if _read(known) == host:
        return
    moved: dict[str, int] = {}
    waiting = spool.oldest()
    while waiting is not None:
        other = host_of(waiting.batch)
        if other not in ("", host):
            spool.put_aside(waiting.number, Reason(f"it counts for host {other!r}", host=other))
            moved[other] = moved.get(other, 0) + 1
        waiting = spool.after(waiting.number)
    for other, count in moved.items():
        logger.warning("batches of another host put aside host=%r batches=%d", other, count)
    try:
        spool_file.write_durably(known, host.encode())
    except OSError as exc:
        logger.warning("host's name not kept path=%s error=%r", known, exc.strerror)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        logger.warning("host's name not read path=%s error=%r", path, exc.strerror)
        return ""
