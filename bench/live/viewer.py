# SPDX-License-Identifier: Apache-2.0
"""A viewer of the overview: asks when the page asks."""

import time
from collections.abc import Generator

from bench.live.events import Events
from bench.live.overview import Answer, Overview

_LEAST_GAP_S = 0.05
_REST_FACTOR = 2
"""NEWS_GAP_MS and REST_FACTOR of frontend/public/js/live.js: the time from one question to the next."""
_SILENCE_S = 15.0


def watch(events: Events, overview: Overview) -> Generator[Answer]:
    """Yield what a viewer sees, refresh by refresh, without an end.

    :raises OSError: the server does not answer
    :raises RuntimeError: it sends no event any more
    """
    may_ask_at = 0.0
    while True:
        if not events.wait(_SILENCE_S):
            raise RuntimeError(f"the server sent no event for {_SILENCE_S:g} s")
        time.sleep(max(0.0, may_ask_at - time.monotonic()))
        # This question is about all events until now.
        events.forget()
        began = time.monotonic()
        yield overview.ask()
        may_ask_at = began + max(_LEAST_GAP_S, _REST_FACTOR * (time.monotonic() - began))
