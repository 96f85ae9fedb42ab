# SPDX-License-Identifier: Apache-2.0
"""What is older than it is to be kept is removed, a part in each run."""

import time
from collections.abc import Callable

from backend.errors import StoreError
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from faultmodel.units import NS_PER_S

_WITHIN_S = 15
"""The first time there may be work for hours. What is left is no failure: the next run goes on with it."""
_CHANGES_WITHIN_S = 5
_GIVE_BACK_S = 10
_ATTEMPTS = 10
_PAUSE_S = 0.5


def remove_old(store: Store, claim: JobClaim) -> None:
    """Note from when on things are kept, remove some of what is older, and give some of its space back.

    Where what is left takes too many bytes, some more is removed.
    """
    now_s = claim.began_ns // NS_PER_S
    _patiently(lambda: store.note_kept(now_s, claim))
    store.remove_older(_WITHIN_S, claim)
    store.remove_old_changes(now_s, _CHANGES_WITHIN_S, claim)
    store.give_back(_GIVE_BACK_S, claim)
    if _patiently(lambda: store.note_bytes(claim)):
        store.remove_older(_WITHIN_S, claim)


def _patiently(note: Callable[[], bool]) -> bool:
    for _ in range(_ATTEMPTS - 1):
        try:
            return note()
        except StoreError:
            # Somebody stores what takes long.
            time.sleep(_PAUSE_S)
    return note()
