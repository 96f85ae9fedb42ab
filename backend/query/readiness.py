# SPDX-License-Identifier: Apache-2.0
"""Whether the server can do what it is there for, and what is missing."""

from collections.abc import Sequence

from backend.errors import StoreError
from backend.store.contract.hosts import LISTED_RECORDINGS, HostStatus
from backend.store.contract.store import Store
from faultmodel.kinds import HostState
from faultmodel.units import NS_PER_MS

FRESH_MS = 5_000
"""A host whose newest batch is older is not being traced now: a collector sends one each second."""
_MOST_REASONS = 20


def is_fresh(host: HostStatus, now_ms: int) -> bool:
    """Return whether the host sent a batch lately."""
    return now_ms - host.last_batch_ns // NS_PER_MS <= FRESH_MS


def what_is_missing(store: Store, *, expects_collector: bool, now_ms: int) -> str:
    """Return what keeps the server from being ready, in words; empty where nothing does."""
    try:
        store.check_schema()
        if not expects_collector:
            return ""
        hosts = store.hosts(recordings=LISTED_RECORDINGS)
        clock_problem = store.clock_problem(now_ms * NS_PER_MS)
    except StoreError as exc:
        return str(exc)
    return why_not_traced(hosts, clock_problem, now_ms)


def why_not_traced(hosts: Sequence[HostStatus], clock_problem: str, now_ms: int) -> str:
    """Return why no host is being traced, in words; empty where one is.

    :param clock_problem: what is wrong with the server's clock, see ``Store.clock_problem``
    """
    if clock_problem:
        return clock_problem
    if any(host.state == HostState.ATTACHED and is_fresh(host, now_ms) for host in hosts):
        return ""
    return _why_not_attached(hosts, now_ms)


def _why_not_attached(hosts: Sequence[HostStatus], now_ms: int) -> str:
    if not hosts:
        return "no collector has sent anything yet"
    reasons = [_why_one_is_not(host, now_ms) for host in hosts[:_MOST_REASONS]]
    more = [f"and {len(hosts) - len(reasons)} more"] if len(hosts) > len(reasons) else []
    return "; ".join([*reasons, *more])


def _why_one_is_not(host: HostStatus, now_ms: int) -> str:
    if not is_fresh(host, now_ms):
        age_s = (now_ms - host.last_batch_ns // NS_PER_MS) // 1000
        return f"host {host.name} last sent a batch {age_s} s ago"
    detail = f": {host.words}" if host.words else ""
    return f"host {host.name} is {host.state}{detail}"
