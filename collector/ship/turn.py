# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: which batch is sent next, and which is put aside so that newer ones go on.

Batches go in order. Where the oldest is answered with *later* again and again, newer ones are tried between:
if all are answered so, the reason is not theirs, and nothing is put aside. If a newer one is taken, those
that were not are tried once more, and put aside only if the answer is still the same. What is put aside is
tried again, ever more rarely: its reason may pass as well.
"""

import time
from collections.abc import Callable

from collector.ship.answer import Answer, Verdict
from collector.spool.aside import Reason
from collector.spool.entry import Spooled
from collector.spool.queue import Spool
from faultmodel.problem import ProblemCode

_OF_ALL_CODES = frozenset(
    {
        ProblemCode.BUSY,
        ProblemCode.DATABASE,
        ProblemCode.NOT_READY,
        ProblemCode.QUOTA,
        ProblemCode.SERVER_CLOCK,
        ProblemCode.TOKEN_KIND,
        ProblemCode.TOKEN_MISSING,
        ProblemCode.TOKEN_UNKNOWN,
    }
)
_OF_ALL_STATUSES = frozenset({401, 429, 502, 503, 504})
"""Reasons that have nothing to do with which batch it was."""
_TRIES = 3
"""How often the oldest is tried before a newer one is."""
_FIRST_ASIDE_PAUSE_S = 15.0
_LONGEST_ASIDE_PAUSE_S = 600.0


class Turn:
    """Decides for one spool. For the thread that sends."""

    def __init__(self, spool: Spool, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._spool = spool
        self._monotonic = monotonic
        self._refused: dict[int, Answer] = {}
        """What was answered later since a batch was taken, and how."""
        self._tries = 0
        self._scout = 0
        """Number of the newest that was tried before its turn."""
        self._suspects: dict[int, Answer] = {}
        """What was answered later while a newer one was taken."""
        self._last_reason: Answer | None = None
        self._aside_due_s = 0.0
        self._aside_pause_s = _FIRST_ASIDE_PAUSE_S
        self._last_aside = 0

    def next(self) -> Spooled | None:
        """Return the batch to send now; None where none is to be sent."""
        while self._suspects:
            number = min(self._suspects)
            if (suspect := self._spool.again(number)) is not None:
                return suspect
            del self._suspects[number]
        if self._is_to_scout():
            if (scout := self._spool.after(max(self._scout, *self._refused))) is not None:
                self._scout = scout.number
                return scout
            # All were tried.
            self._scout = 0
            self._tries = 0
            self._refused.clear()
        return (None if self._refused else self._next_aside()) or self._spool.oldest()

    def see(self, batch: Spooled, answer: Answer) -> str:
        """Take note of a batch's answer, and keep or remove it; return why it was put aside, if it was."""
        if batch.number in self._spool.aside:
            return self._see_aside(batch, answer)
        if answer.verdict is Verdict.ACCEPTED:
            self._spool.remove(batch.number)
            self._suspects |= {
                number: said for number, said in self._refused.items() if number < batch.number
            }
            self._suspects.pop(batch.number, None)
            self._refused.clear()
            self._tries = self._scout = 0
            return ""
        suspected = self._suspects.pop(batch.number, None)
        if answer.verdict is Verdict.REFUSED or (suspected is not None and suspected.is_like(answer)):
            self._refused.pop(batch.number, None)
            self._last_reason = answer
            self._spool.put_aside(batch.number, Reason(answer.detail, answer.code))
            self._aside_due_s = self._monotonic() + self._aside_pause_s
            return answer.detail
        if answer.was_reached and not _is_of_all(answer):
            self._refused[batch.number] = answer
            self._tries += 1
        return ""

    def _is_to_scout(self) -> bool:
        if not self._refused:
            return False
        known = self._last_reason
        is_known = known is not None and all(known.is_like(answer) for answer in self._refused.values())
        # Every second time only: the oldest is to go first as soon as it can.
        return self._tries >= (1 if is_known else _TRIES) and (self._tries % 2 == 1)

    def _next_aside(self) -> Spooled | None:
        if self._monotonic() < self._aside_due_s:
            return None
        waiting = [number for number, reason in self._spool.aside.items() if reason.may_pass]
        if not waiting:
            return None
        number = next((other for other in waiting if other > self._last_aside), waiting[0])
        self._last_aside = number
        return self._spool.again(number)

    def _see_aside(self, batch: Spooled, answer: Answer) -> str:
        if answer.verdict is Verdict.ACCEPTED:
            self._spool.remove(batch.number)
            self._aside_pause_s = _FIRST_ASIDE_PAUSE_S
            self._aside_due_s = self._monotonic()
            return ""
        if answer.was_reached:
            self._spool.put_aside(batch.number, Reason(answer.detail, answer.code))
        self._aside_due_s = self._monotonic() + self._aside_pause_s
        self._aside_pause_s = min(2 * self._aside_pause_s, _LONGEST_ASIDE_PAUSE_S)
        return ""


def _is_of_all(answer: Answer) -> bool:
    return answer.code in _OF_ALL_CODES if answer.code else answer.status in _OF_ALL_STATUSES
