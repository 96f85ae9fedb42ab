# SPDX-License-Identifier: Apache-2.0
"""What a server answers when it does not do what it is asked for, as codes that both sides know.

Every problem body (RFC 9457) that a server of kvmfaults sends has one as ``code``: no other program's answer
does, and no sentence has to be read to find out what happened.
"""

from enum import StrEnum

MOST_DETAIL = 1024
"""Characters of what is said of a problem: what was asked for is part of it, and may be anything."""


class ProblemCode(StrEnum):
    """Why a request was not done. For a batch, only ``DAMAGED`` is final; all others may pass."""

    DAMAGED = "damaged"
    """The bytes are no batch and never can be, however often they are sent and to whichever version."""
    UNKNOWN_VERSION = "unknown_version"
    """A batch of a version, an architecture or a syndrome format that this server does not read."""
    WRONG_HOST = "wrong_host"
    """A batch of another host than the token's."""
    SERVER_CLOCK = "server_clock"
    """The server's own clock cannot be right: it would give wrong times to what is handed in."""
    QUOTA = "quota"
    """More than one host may hand in just now, or than may be asked of it at a time."""
    BUSY = "busy"
    """The server has as much to do as it can."""
    TOO_LONG = "too_long"
    """An answer that would take longer to read than any may."""
    DATABASE = "database"
    """The database cannot be used."""
    TOO_LARGE = "too_large"
    WRONG_TYPE = "wrong_type"
    """A body of another content type."""
    INCOMPLETE = "incomplete"
    """A body that did not come whole, or not in time."""
    NOT_POSSIBLE = "not_possible"
    """Nothing of that kind can be done of this, as of a VM that has ended."""
    CROSS_SITE = "cross_site"
    """A page of another site had the browser ask."""
    TOKEN_MISSING = "token_missing"
    TOKEN_UNKNOWN = "token_unknown"
    TOKEN_KIND = "token_kind"
    """A token that is for something else."""
    BAD_REQUEST = "bad_request"
    BAD_PARAMETER = "bad_parameter"
    NOT_FOUND = "not_found"
    WRONG_METHOD = "wrong_method"
    WRONG_NAME = "wrong_name"
    """The server was called by a name (Host) that it does not answer to."""
    NOT_READY = "not_ready"
    FAILED = "failed"
    """A defect of the server's own."""
