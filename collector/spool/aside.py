# SPDX-License-Identifier: Apache-2.0
"""Batches that are put aside: the server refuses them while it accepts newer ones.

Each is in the folder ``aside`` under its own name, beside a file ``<number>.json`` with the reason. They
still count against the spool's room. A batch leaves the folder when the server accepts it, or is dropped when
room is needed, the oldest first.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from collector.spool.entry import Entry, blocks
from collector.spool.file import SpoolName
from faultmodel.problem import ProblemCode

logger = logging.getLogger(__name__)

_REASON_UNKNOWN = "it is not known why any more"
_BEFORE = "refused for good by what an earlier version took for its server"


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a batch was put aside, and since when (UTC).

    ``code``: the server's ``ProblemCode``, or empty. ``host``: the host that the batch counts for, if that is
    the reason. ``is_counted``: an earlier version has already reported the batch as lost.
    """

    detail: str
    code: str = ""
    host: str = ""
    since_ns: int = 0
    is_counted: bool = False

    @property
    def may_pass(self) -> bool:
        """Whether the server may accept the batch later, unchanged."""
        return self.code != ProblemCode.DAMAGED and not self.host


class Aside:
    """The batches put aside in one spool, by number, oldest first. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Find what there is.

        :raises OSError: the directory cannot be made or read
        """
        self.directory = directory / "aside"
        self.directory.mkdir(mode=0o700, exist_ok=True)
        (directory / "resend").mkdir(mode=0o700, exist_ok=True)
        self._asked = directory / "resend"
        self._adopt(directory / "rejected")
        self.entries: OrderedDict[int, Entry] = OrderedDict()
        self.reasons: dict[int, Reason] = {}
        for number, path, reason in found_aside(directory):
            reports = SpoolName.read(path.name)
            self.entries[number] = Entry(
                path, blocks(path.stat().st_size), len(reports.reports) if reports else 0
            )
            self.reasons[number] = reason

    def put(self, number: int, entry: Entry, reason: Reason) -> Entry:
        """Add a batch. If the disk fails, its file stays where it is, which is logged."""
        path = self.directory / entry.path.name
        try:
            self._reason_file(number).write_bytes(msgspec.json.encode(reason))
            if entry.held is None:
                entry.path.rename(path)
        except OSError as exc:
            logger.warning("batch not moved aside number=%d error=%r", number, exc.strerror)
        else:
            entry = Entry(path, entry.size, entry.reporting, entry.held)
        self.entries[number] = entry
        self.reasons[number] = reason
        self.entries.move_to_end(number)
        for later in sorted(other for other in self.entries if other > number):
            self.entries.move_to_end(later)
        return entry

    def take(self, number: int) -> Entry:
        """Remove a batch from here and return it. Its file stays: the caller moves or deletes it."""
        self.reasons.pop(number)
        try:
            self._reason_file(number).unlink(missing_ok=True)
        except OSError as exc:
            logger.warning("reason not deleted number=%d error=%r", number, exc.strerror)
        return self.entries.pop(number)

    def asked_for(self) -> list[int]:
        """Return, once, which batches an operator wants sent again."""
        numbers = []
        for path in self._asked.iterdir():
            path.unlink(missing_ok=True)
            if path.name.isdecimal() and int(path.name) in self.entries:
                numbers.append(int(path.name))
        return sorted(numbers)

    def _adopt(self, rejected: Path) -> None:
        """Take over the batches that an earlier version would not send again."""
        if not rejected.is_dir():
            return
        for path in rejected.iterdir():
            name = SpoolName.read(path.name)
            if name is not None:
                reason = Reason(_BEFORE, since_ns=path.stat().st_mtime_ns, is_counted=True)
                self._reason_file(name.number).write_bytes(msgspec.json.encode(reason))
                path.rename(self.directory / str(SpoolName(name.number)))
            else:
                path.unlink()
        rejected.rmdir()

    def _reason_file(self, number: int) -> Path:
        return self.directory / f"{number:020d}.json"


def found_aside(spool: Path) -> Iterator[tuple[int, Path, Reason]]:
    """Yield number, file and reason of what is put aside in a spool's directory, oldest first.

    :raises OSError: the directory cannot be read
    """
    names = [name for path in (spool / "aside").iterdir() if (name := SpoolName.read(path.name))]
    for name in sorted(names, key=lambda name: name.number):
        path = spool / "aside" / str(name)
        yield name.number, path, _read_reason(path.with_name(f"{name.number:020d}.json"))


def ask_for(spool: Path, number: int) -> None:
    """Ask the collector, the one that runs or the next, to send a batch again.

    :raises OSError: it cannot be written
    """
    (spool / "resend" / str(number)).touch(mode=0o600)


def _read_reason(path: Path) -> Reason:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reason)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Reason(_REASON_UNKNOWN)
