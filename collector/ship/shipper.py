# SPDX-License-Identifier: Apache-2.0
"""Sends what the spool holds to the server, in order, until each batch is acknowledged."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from collector.sampling.server_requests import Asked
from collector.ship.answer import Verdict
from collector.ship.turn import Turn
from collector.ship.uplink import Uplink
from collector.spool.entry import Spooled
from collector.spool.queue import Spool
from collector.spool.state import Delivery, HostFinding, keep_delivery

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Shipper:
    """A thread that takes batches from the spool and deletes them when the server has them.

    Whatever may pass is tried again without end: the server away or failing, a token not yet valid. What the
    server does not take while it takes newer batches is put aside (``shipper_turn``).
    """

    def __init__(
        self, spool: Spool, uplink: Uplink, take: Callable[[Sequence[Asked]], object] = lambda _asked: None
    ) -> None:
        """Make a shipper that is not running yet. It owns ``uplink`` and closes it.

        :param take: called with what each receipt asks to be recorded, in the shipper's thread
        """
        self._spool = spool
        self._uplink = uplink
        self._take = take
        self._turn = Turn(spool)
        self._stopping = threading.Event()
        self._stop_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._failed_in_a_row = 0
        self._last_error: str | None = None
        self._since_ns = 0
        self._last_noticed: tuple[HostFinding, ...] = ()
        self._last_aside = ""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def flush(self, deadline_s: float) -> bool:
        """Send what is left, for at most ``deadline_s``, and end; return whether all was delivered.

        What is not delivered stays in the spool. Put the last batch before this. If a request is under way at
        the deadline, its answer is not awaited; the batch is sent again by the next collector.
        """
        self._stop_at = time.monotonic() + deadline_s
        self._stopping.set()
        self._spool.wake()
        if self._thread.is_alive():
            self._thread.join(deadline_s)
        return self._spool.backlog_batches == 0

    def _run(self) -> None:
        while not self._is_done():
            try:
                if numbers := self._spool.bring_back_asked():
                    logger.info("batches that were put aside are sent again numbers=%s", numbers)
                batch = self._turn.next()
                if batch is None:
                    self._spool.wait()
                else:
                    self._pause(self._deliver(batch))
            except Exception:
                logger.exception("shipper failed")
                self._pause(self._backoff_s())
        self._uplink.close()

    def _is_done(self) -> bool:
        if not self._stopping.is_set():
            return False
        return self._spool.backlog_batches == 0 or time.monotonic() >= self._stop_at

    def _deliver(self, batch: Spooled) -> float:
        # Returns how long to pause before the next.
        within_s = max(0.05, self._stop_at - time.monotonic())
        answer = self._uplink.send(batch.batch, within_s=within_s)
        if answer.verdict is Verdict.ACCEPTED:
            self._take(answer.asked)
        reason = self._turn.see(batch, answer)
        if reason:
            self._tell_aside(batch, reason)
            return 0.0
        if answer.verdict is Verdict.LATER:
            self._note(answer.detail, answer.code, self._last_noticed)
            return max(self._backoff_s(), answer.pause_s)
        self._failed_in_a_row = 0
        self._note("", "", answer.noticed)
        return 0.0

    def _tell_aside(self, batch: Spooled, reason: str) -> None:
        # A server that refuses one refuses perhaps many: the same reason is logged once.
        if reason != self._last_aside:
            self._last_aside = reason
            logger.warning("batch not taken, put aside number=%d answer=%r", batch.number, reason)

    def _note(self, error: str, code: str, noticed: tuple[HostFinding, ...]) -> None:
        if error == self._last_error and noticed == self._last_noticed:
            return
        if error != self._last_error:
            self._since_ns = time.time_ns()
            if error:
                logger.warning("server takes no batches error=%r", error)
            elif self._last_error:
                logger.info("server takes batches again backlog=%d", self._spool.backlog_batches)
        # By how much a clock is wrong is another figure each time.
        codes, before = _current(noticed), _current(self._last_noticed)
        if codes != before:
            log = logger.warning if codes else logger.info
            log("server's findings about this host current=%s", ",".join(codes) or "none")
        self._last_error, self._last_noticed = error, noticed
        keep_delivery(self._spool.directory, Delivery(error, code, self._since_ns, noticed))

    def _backoff_s(self) -> float:
        # The jitter keeps a fleet from coming back all at once.
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failed_in_a_row, 10))
        self._failed_in_a_row += 1
        return longest * random.uniform(0.5, 1.0)

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and self._stopping.wait(seconds):
            # There is little time left, and the event that ends a pause is set: try often.
            time.sleep(max(0.0, min(_FIRST_PAUSE_S, self._stop_at - time.monotonic())))


def _current(noticed: tuple[HostFinding, ...]) -> list[str]:
    """Return the codes of what goes on."""
    return sorted({one.code for one in noticed if one.is_current})
