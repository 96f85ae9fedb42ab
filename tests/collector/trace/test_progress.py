# SPDX-License-Identifier: Apache-2.0
"""How far an import is, on a terminal and in a log."""

import io

from collector.trace.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A time that the test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_on_a_terminal_one_line_is_written_over_and_left_empty() -> None:
    stream, clock = Terminal(), Clock()
    progress = Progress(stream, "a: sent", 200, clock)
    for now_s, position in ((100.05, 10), (100.15, 50), (100.2, 60), (100.4, 200)):
        clock.now_s = now_s
        progress.see_bytes(position)
    progress.end()
    assert stream.getvalue() == "\ra: sent 25%\x1b[K\ra: sent 100%\x1b[K\r\x1b[K"


def test_elsewhere_a_line_is_written_every_five_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, "a: sent", 200, clock)
    for now_s, position in ((104.9, 10), (105.1, 50), (109.9, 60), (110.2, 200)):
        clock.now_s = now_s
        progress.see_bytes(position)
    progress.end()
    assert stream.getvalue() == "a: sent 25%\na: sent 100%\n"


def test_what_is_done_at_once_is_not_reported() -> None:
    stream = Terminal()
    progress = Progress(stream, "a: sent", 0, Clock())
    progress.see_bytes(0)
    progress.end()
    assert stream.getvalue() == ""
