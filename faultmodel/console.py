# SPDX-License-Identifier: Apache-2.0
"""How each of the commands is started: what it writes is its user's alone, and a reader may go away."""

import os
import select
import signal
import sys
from collections.abc import Callable

_BROKEN_PIPE = 128 + signal.SIGPIPE
"""As shells have it for a process that a broken pipe ended."""
_FAILED = 1


def run(command: Callable[[], int]) -> int:
    """Run a command and return its exit status: 141, and no word of it, where nobody reads its output.

    SIGPIPE itself is left ignored, as Python has it: a server outlives a client that hangs up. Files that the
    command makes can be read by its user only, however it is started.
    """
    mask = os.umask(0o077)
    try:
        try:
            return command()
        finally:
            _flush()
    except BrokenPipeError:
        if not _is_unread():
            raise
        # What is still in the buffers has nowhere to go: the interpreter must not try once more.
        _discard_output()
        return _BROKEN_PIPE
    finally:
        os.umask(mask)


def _flush() -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        sys.stderr.write(f"output cannot be written: {exc.strerror}\n")
        _discard_output()
        raise SystemExit(_FAILED) from None


def _is_unread() -> bool:
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
