# SPDX-License-Identifier: Apache-2.0
"""The state of delivery, stored in the spool's directory for other processes to read."""

import logging
from pathlib import Path

import msgspec

logger = logging.getLogger(__name__)


class Delivery(msgspec.Struct, frozen=True):
    """Why the server accepts nothing (empty if it does), its ``ProblemCode``, and since when (UTC)."""

    error: str
    code: str
    since_ns: int


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
