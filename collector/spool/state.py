# SPDX-License-Identifier: Apache-2.0
"""The state of delivery, stored in the spool's directory for other processes to read."""

import logging
from pathlib import Path

import msgspec

logger = logging.getLogger(__name__)


class HostFinding(msgspec.Struct, frozen=True):
    """Something that the server noticed about this host: ``code`` is one of those of ``/api/v1/status``.

    ``hosts``: whom it is about. ``last``: when that was seen last, in RFC 3339, of what does not go on.
    """

    code: str
    hosts: tuple[str, ...] = ()
    is_current: bool = True
    last: str | None = None
    seconds: float | None = None
    detail: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """Why the server accepts nothing (empty if it does), its ``ProblemCode``, and since when (UTC).

    ``noticed``: what the newest receipt says of this host.
    """

    error: str
    code: str
    since_ns: int
    noticed: tuple[HostFinding, ...] = ()


def keep_delivery(spool: Path, delivery: Delivery) -> None:
    """Write the state. A failure is only logged, since nothing depends on it."""
    path = spool / "delivery.json"
    written = path.with_suffix(".new")
    try:
        written.write_bytes(msgspec.json.encode(delivery))
        written.replace(path)
    except OSError as exc:
        logger.warning("state of delivery not written path=%s error=%r", path, exc.strerror)


def read_delivery(spool: Path) -> Delivery | None:
    """Return the state that a collector wrote last; None if there is none.

    :raises OSError: the file cannot be read
    """
    try:
        return msgspec.json.decode((spool / "delivery.json").read_bytes(), type=Delivery)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
