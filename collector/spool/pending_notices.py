# SPDX-License-Identifier: Apache-2.0
"""The drop notices of dropped batches, kept until a later batch carries them to the server.

The file of a dropped batch is truncated to its front, which has the notice, and renamed. That needs no room
on a full disk, and takes no longer than to delete the file.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from collector.spool import file as spool_file

logger = logging.getLogger(__name__)


class PendingNotices:
    """The pending drop notices of one spool, by their batches' numbers. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Read what there is.

        :raises OSError: the directory cannot be read
        """
        self._directory = directory
        self._notices: dict[int, bytes] = {}
        for path in sorted(directory.glob(f"{'[0-9]' * 20}.words")):
            notice = spool_file.drop_notice(path.read_bytes())
            if notice:
                self._notices[int(path.stem)] = notice
            else:
                path.unlink()

    @property
    def notices(self) -> Mapping[int, bytes]:
        """The notices, oldest first."""
        return dict(self._notices)

    def keep(self, number: int, path: Path, held: bytes | None = None) -> None:
        """Keep the drop notice of a batch that is being dropped. If the disk fails, it is kept in memory.

        :param path: the batch's file
        :param held: the file's content, if the batch is held in memory
        """
        try:
            front = spool_file.front(path.read_bytes() if held is None else held)
            notice = spool_file.drop_notice(front)
            if not notice:
                return
            self._notices[number] = notice
            if held is None:
                os.truncate(path, len(front))
                path.rename(self._path(number))
            else:
                spool_file.write_durably(self._path(number), front)
        except OSError as exc:
            logger.warning("drop notice not kept number=%d error=%r", number, exc.strerror)

    def forget(self, numbers: Iterable[int]) -> None:
        """Delete notices that a batch carries. If the process ends before, they are resent: no harm."""
        for number in numbers:
            self._notices.pop(number, None)
            try:
                self._path(number).unlink(missing_ok=True)
            except OSError as exc:
                logger.warning("drop notice not deleted number=%d error=%r", number, exc.strerror)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:020d}.words"
