"""What is to be done about sets that others pinned on this machine, by the collector that counts here."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.counting.pinned_sets import Owner, PinnedSet

logger = logging.getLogger(__name__)

ADOPTED = (
    "counting went on while no collector ran; the data directory of the one that began it is gone, and with"
    " it what waited there for the server"
)


@dataclass(frozen=True, slots=True)
class OtherSets:
    """Sets of others. ``read``: a collector does. ``expected``: it is gone, and may come back.

    ``lost``: nobody will come back for them, the one that was read last at the end.
    """

    read: Sequence[PinnedSet] = ()
    expected: Sequence[PinnedSet] = ()
    lost: Sequence[PinnedSet] = ()

    def pause_expected(self) -> None:
        """Let those that wait for their collector count no more: from here on, this one does."""
        for one in self.expected:
            try:
                one.pause()
            except OSError as exc:
                logger.warning("set of another counts on path=%s error=%r", one.folder, exc.strerror)
            else:
                logger.warning(
                    "stopped what another collector left counting data_dir=%s path=%s",
                    "unknown" if one.owner is None else one.owner.data_dir,
                    one.folder,
                )

    def remove_lost(self) -> list[str]:
        """Remove those that nobody comes back for; return what there is to tell of it."""
        told = []
        for one in self.lost:
            what = f"what it had counted since {_moment(one.read_ns())} is lost"
            try:
                one.remove()
            except OSError as exc:
                logger.warning("set that nobody reads counts on path=%s error=%r", one.folder, exc.strerror)
            else:
                told.append(f"a set of programs that nobody read any more was removed; {what}")
        return told


def sort_out(sets: Sequence[PinnedSet], by: Owner | None = None) -> OtherSets:
    """Tell which of the sets are read, which are expected to be, and which are lost.

    :param by: see ``PinnedSet.is_expected``
    """
    read = [one for one in sets if one.is_read()]
    expected = [one for one in sets if one not in read and one.is_expected(by)]
    lost = [one for one in sets if one not in read and one not in expected]
    return OtherSets(read, expected, sorted(lost, key=PinnedSet.read_ns))


def _moment(monotonic_ns: int) -> str:
    if not monotonic_ns:
        return "it was read last"
    then_ns = time.time_ns() - (time.monotonic_ns() - monotonic_ns)
    return datetime.fromtimestamp(then_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
