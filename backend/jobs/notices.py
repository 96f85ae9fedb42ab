# SPDX-License-Identifier: Apache-2.0
"""Alertmanagers are sent the alerts that fire, again and again while they do, and those that are over.

What is yet to be sent stands in the database, with the alerts: no more than those, and whichever server has
the job goes on with it. What is sent twice changes nothing there. An alert is sent when one Alertmanager took
it: several pass it on to one another.
"""

from collections.abc import Sequence

from backend.errors import StoreError
from backend.jobs.alertmanager import Alertmanager, NotTakenError
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.contract.time_limit import check_time
from faultmodel.units import NS_PER_S

RESEND_NS = 60 * NS_PER_S
_AT_ONCE = 100
_MOST = 2_000
"""In one run. What is left is first in the next."""
GIVE_UP_NS = 3600 * NS_PER_S
"""A resolved alert that nobody took for so long is sent no more."""


class NoticesJob:
    """Sends alerts to these Alertmanagers."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Take their addresses. :raises SettingError: one is none"""
        self._receivers = [Alertmanager(url) for url in urls]

    def __call__(self, store: Store, claim: JobClaim) -> None:
        """Send what is due. :raises StoreError: a receiver did not take it; what none took is due again"""
        now_ns = claim.began_ns
        store.give_up_notices(now_ns - GIVE_UP_NS, claim)
        due = store.due_notices(now_ns - RESEND_NS, _MOST)
        failures: dict[str, str] = {}
        for start in range(0, len(due), _AT_ONCE):
            some = due[start : start + _AT_ONCE]
            taken = False
            for receiver in self._receivers:
                check_time()
                # One that failed is asked again in the next run.
                if receiver.name in failures:
                    continue
                try:
                    receiver.send(some, now_ns)
                    taken = True
                except NotTakenError as exc:
                    failures[receiver.name] = str(exc)
            if not taken:
                break
            store.note_notices(some, now_ns, claim)
        if failures:
            raise StoreError("; ".join(failures.values()))
