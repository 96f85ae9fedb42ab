"""How delivery goes, kept in the spool's directory for whoever asks from another process."""

import logging
from pathlib import Path

import msgspec

logger = logging.getLogger(__name__)


class Delivery(msgspec.Struct, frozen=True):
    """Why the server takes nothing, empty where it does; its code (``ProblemCode``); since when (UTC)."""

    error: str
    code: str
    since_ns: int


def keep_delivery(spool: Path, delivery: Delivery) -> None:
    """Write it. Where it cannot be, it is logged: nothing depends on it."""
    path = spool / "delivery.json"
    written = path.with_suffix(".new")
    try:
        written.write_bytes(msgspec.json.encode(delivery))
        written.replace(path)
    except OSError as exc:
        logger.warning("state of delivery not written path=%s error=%r", path, exc.strerror)


def read_delivery(spool: Path) -> Delivery | None:
    """Return what a collector wrote last; None where nothing is known.

    :raises OSError: the file cannot be read
    """
    try:
        return msgspec.json.decode((spool / "delivery.json").read_bytes(), type=Delivery)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
