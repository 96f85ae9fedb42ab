# SPDX-License-Identifier: Apache-2.0
"""Errors of reading recordings.

CollectorError
└── TraceError           a file cannot be imported at all
    └── NoServerError        no file can be: the server is away, or does not accept the token

LineError                a line cannot be read; counted, never fatal
UnattributedError        an event of a thread whose vCPU is not known; counted, never fatal
"""

from collector.errors import CollectorError


class TraceError(CollectorError):
    """The file cannot be imported; the message names it, says why, and what to do."""


class NoServerError(TraceError):
    """The server takes nothing, whatever file it is of."""


class LineError(Exception):
    """An event's text is not in the form that its kernel prints."""


class UnattributedError(Exception):
    """Nothing in the recording shows which vCPU the thread runs."""
