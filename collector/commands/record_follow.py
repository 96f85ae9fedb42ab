# SPDX-License-Identifier: Apache-2.0
"""Follows a recording to its end: when its time is over, when the user ends it, or when nobody answers."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from collector.sampling.requests import NS_PER_S, Answer, RecordRequest, RecordRequests

ANSWER_S = 30.0
"""A collector looks at least once a second; on a busy host it may be late."""
_LOOK_S = 0.2
_COLLECTOR_ENDED = "cut short: the collector ended, what was recorded after that is not known"
_ENDED_BY_OTHER = "cut short: another command ended it or asked anew, or the clock was set"
_NO_READING = f"cut short: the collector took no whole reading within {ANSWER_S:g} s"
_NO_END = f"cut short: the collector did not report the end within {ANSWER_S:g} s"
_NOT_WAITED = "cut short: interrupted again, before the collector reported the end"


@dataclass(slots=True)
class Signals:
    """How often the user wanted it to end: once, and what was recorded so far is shown; twice, at once."""

    number: int = 0

    def take(self, *_: object) -> None:
        """One more has come."""
        self.number += 1


@contextmanager
def interruptions() -> Iterator[Signals]:
    """Count signals that ask for an end, rather than end by them."""
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow(
    requests: RecordRequests,
    request: RecordRequest,
    answer: Answer,
    seconds: float,
    signals: Signals,
    is_running: Callable[[], bool],
) -> tuple[Answer, str]:
    """Wait for the end, ask for it when it is time; return the last answer, and why it is not the whole.

    :param answer: the first, which may have begun the time already
    :param is_running: whether a collector is there that could answer
    :raises OSError: the end cannot be asked for
    """
    # Until the first whole reading there is no time that could be over.
    due_s = time.monotonic() + (seconds if answer.since_ns else ANSWER_S)
    is_ended = False
    while not answer.is_over:
        if is_ended and signals.number > 1:
            return answer, _NOT_WAITED
        if time.monotonic() >= due_s or (signals.number and not is_ended):
            if is_ended:
                return answer, _NO_END
            requests.end(request, time.time_ns())
            if not (answer.since_ns or signals.number):
                return answer, _NO_READING
            is_ended, due_s = True, time.monotonic() + ANSWER_S
        time.sleep(_LOOK_S)
        is_there = is_running()
        newer = requests.answer_to(request) or answer
        if 0 < answer.since_ns != newer.since_ns:
            # The answer is of another collector, which does not know the time before it.
            return answer, _COLLECTOR_ENDED
        if newer.since_ns and not answer.since_ns and not is_ended:
            due_s = time.monotonic() + seconds
        answer = newer
        if not is_there and not answer.is_over:
            return answer, _COLLECTOR_ENDED
    # It may have run out by itself: who waits for it can be late.
    is_whole_time = answer.since_ns and answer.to_ns - answer.since_ns >= seconds * NS_PER_S
    return answer, "" if is_ended or is_whole_time else _ENDED_BY_OTHER
