# SPDX-License-Identifier: Apache-2.0
"""Sessions that have ended are forgotten: nobody else removes them where their browser does not log out."""

from backend.auth import SESSION_NS
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store

_KEPT_NS = 24 * 3600 * 10**9
"""They stand for nothing any more: a clock that is wrong by less than this ends nobody's session."""


def forget_ended_sessions(store: Store, claim: JobClaim) -> None:
    """Remove every session that ended long ago, or was opened by a clock that was far ahead."""
    now_ns = claim.began_ns
    store.remove_sessions_outside(now_ns - _KEPT_NS, now_ns + SESSION_NS + _KEPT_NS, claim)
