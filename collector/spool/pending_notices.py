"""Drop notices of batches, kept until a later batch tells them.

A dropped batch's file is cut down to its front, which has them, and renamed: that takes no room and no more
time than to delete it.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from collector.spool import file as spool_file

logger = logging.getLogger(__name__)


class PendingNotices:
    """Drop notices in one spool's directory, by their batch's number. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Read what there is.

        :raises OSError: the directory cannot be read
        """
        self._directory = directory
        self._words: dict[int, bytes] = {}
        for path in sorted(directory.glob(f"{'[0-9]' * 20}.words")):
            words = spool_file.drop_notice(path.read_bytes())
            if words:
                self._words[int(path.stem)] = words
            else:
                path.unlink()

    @property
    def words(self) -> Mapping[int, bytes]:
        """What is to be told, oldest first."""
        return dict(self._words)

    def keep(self, number: int, path: Path, held: bytes | None = None) -> None:
        """Keep the drop notice of a batch that is dropped, in memory if the disk fails, which is logged.

        :param path: its file
        :param held: what would be in the file, had the disk taken it
        """
        try:
            front = spool_file.front(path.read_bytes() if held is None else held)
            words = spool_file.drop_notice(front)
            if not words:
                return
            self._words[number] = words
            if held is None:
                os.truncate(path, len(front))
                path.rename(self._path(number))
            else:
                spool_file.write_durably(self._path(number), front)
        except OSError as exc:
            logger.warning("drop notices not kept number=%d error=%r", number, exc.strerror)

    def forget(self, numbers: Iterable[int]) -> None:
        """Delete what was told. If the process ends before, it is told again, which changes nothing."""
        for number in numbers:
            self._words.pop(number, None)
            try:
                self._path(number).unlink(missing_ok=True)
            except OSError as exc:
                logger.warning("drop notices not deleted number=%d error=%r", number, exc.strerror)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:020d}.words"
