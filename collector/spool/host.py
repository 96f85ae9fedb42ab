"""Batches of a host that was renamed: they wait, apart, for a collector of the old name, with its token."""

import logging
from pathlib import Path

from collector.spool import file as spool_file
from collector.spool.aside import Reason
from collector.spool.peek import host_of
from collector.spool.queue import Spool

logger = logging.getLogger(__name__)


def part_by_host(spool: Spool, host: str) -> None:
    """Put aside what counts for another host; bring back what was put aside so and is this one's.

    Call this before anything is sent. The name is kept in the spool's directory: only where it is another
    than the last time, all that waits is looked through.
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
