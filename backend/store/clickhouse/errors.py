# SPDX-License-Identifier: Apache-2.0
"""What the client of ClickHouse raises, in a line for whoever runs the server."""

import re

_MOST_CHARACTERS = 500
_ANSWERED = "server response: "
_ADDRESS = re.compile(r" \(for url [^)]*\)$")


def said(error: BaseException, place: str) -> str:
    """Return what an error says, without how it came to be asked.

    :param place: host and port, empty where there is no network between
    """
    text = _first_line(error)
    if _ANSWERED in text:
        return _ADDRESS.sub("", text.partition(_ANSWERED)[2])
    cause = _first_cause(error)
    if not place or cause is error:
        return text
    if isinstance(cause, TimeoutError):
        reason = "no answer in time"
    else:
        reason = (isinstance(cause, OSError) and cause.strerror) or _first_line(cause)
    return f"ClickHouse at {place}: {reason}"


def _first_cause(error: BaseException) -> BaseException:
    """Return what began it: the client's errors are of urllib3's, and these of the system's."""
    while True:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return error
        error = cause


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:_MOST_CHARACTERS]
