# SPDX-License-Identifier: Apache-2.0
"""The warnings of an answer, as its body has them."""

from typing import Any


def not_covered(
    from_ms: int, to_ms: int, lacking_ms: int | None = None, *, host: str = "host-1"
) -> dict[str, Any]:
    """Return the warning that a host was not covered: all of that range, or so many ms of it."""
    return _warning("not_covered", from_ms, to_ms, lacking_ms, host)


def older_than_kept(from_ms: int | None, to_ms: int) -> dict[str, Any]:
    """Return the warning that nothing is kept of a range, which may have no beginning."""
    return _warning("older_than_kept", from_ms, to_ms, None, None)


def _warning(
    code: str, from_ms: int | None, to_ms: int, lacking_ms: int | None, host: str | None
) -> dict[str, Any]:
    if lacking_ms is None and from_ms is not None:
        lacking_ms = to_ms - from_ms
    return {"code": code, "host": host, "from_ms": from_ms, "to_ms": to_ms, "lacking_ms": lacking_ms}
