"""What is wrong with how hosts are traced: noticed, refused, or expected and never there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from backend.query.readiness import is_fresh
from backend.store.base import Store
from backend.store.hosts import BELOW
from backend.store.values import FindingCode, HostStatus, Refusal, Token
from backend.token_list import token_id
from faultmodel.problem import ProblemCode

CURRENT_NS = 60 * 10**9
"""What was seen within this goes on."""
AHEAD_NS = 10 * 10**9
"""A clock that is ahead by more is told."""
_INGEST = "ingest"


class Code(StrEnum):
    """What is wrong."""

    COUNTED_TWICE = FindingCode.COUNTED_TWICE.value
    TWO_NAMES = FindingCode.TWO_NAMES.value
    TWO_MACHINES = FindingCode.TWO_MACHINES.value
    RENAMED = FindingCode.RENAMED.value
    CLOCK_AHEAD = "clock_ahead"
    """The host's clock is ahead of the server's."""
    REFUSED = "refused"
    """Batches of the host, or of an unknown sender, were refused."""
    NEVER_DELIVERED = "never_delivered"
    """There is a token for the host, and no batch of it ever came."""


_OPEN = frozenset({Code.COUNTED_TWICE, Code.TWO_NAMES, Code.REFUSED, Code.NEVER_DELIVERED})
"""With these the account of a host is open, while they are current or for ever after a double count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that is wrong. Times: UTC ns, None where nothing is known of them.

    ``is_current``: it goes on. ``seconds``: by how much a clock is ahead. ``token`` (its id, empty where it
    is not known), ``reason``, ``times`` and ``detail`` (the newest answer) are those of refusals.
    """

    code: Code
    hosts: Sequence[str]
    since_ns: int | None = None
    last_ns: int | None = None
    is_current: bool = True
    seconds: float | None = None
    token: str = ""
    reason: ProblemCode | None = None
    times: int | None = None
    detail: str = ""

    @property
    def leaves_open(self) -> bool:
        """Whether what is stored of the hosts is not all that there was, or more than that."""
        if self.code in (Code.COUNTED_TWICE, Code.TWO_NAMES) or self.reason is ProblemCode.DAMAGED:
            return True
        return self.code in _OPEN and self.is_current


def find(store: Store, now_ns: int) -> Sequence[Found]:
    """Return everything that is wrong, what goes on first, then the newest."""
    with store.snapshot():
        hosts, tokens = store.hosts(recordings=0), store.tokens()
        known = store.known_hosts(recordings=0).reported
        refusals, noticed = store.refusals(), store.findings()
    live = {host.reported_name: host for host in hosts}
    found = [
        Found(
            code=Code(item.code.value),
            hosts=item.hosts,
            since_ns=item.first_ns,
            last_ns=item.last_ns,
            is_current=now_ns - item.last_ns <= CURRENT_NS,
        )
        for item in noticed
    ]
    found += [_refused(item, live, now_ns) for item in refusals]
    found += _clocks_ahead(hosts, now_ns)
    found += _never_delivered(tokens, known)
    return sorted(found, key=lambda item: (not item.is_current, -(item.last_ns or now_ns)))


def _refused(item: Refusal, live: Mapping[str, HostStatus], now_ns: int) -> Found:
    host = live.get(item.host)
    # What was taken since then shows that the reason has passed. A sender that is not known is never taken.
    is_current = (
        now_ns - item.last_ns <= CURRENT_NS
        if not item.host
        else (host is None or item.last_ns > host.last_batch_ns)
    )
    return Found(
        code=Code.REFUSED,
        hosts=[item.host] if item.host else [],
        since_ns=item.first_ns,
        last_ns=item.last_ns,
        is_current=is_current,
        token=item.token and token_id(Token(item.token, _INGEST, item.host)),
        reason=item.code,
        times=item.count,
        detail=item.detail,
    )


def _clocks_ahead(hosts: Sequence[HostStatus], now_ns: int) -> Sequence[Found]:
    return [
        Found(
            code=Code.CLOCK_AHEAD,
            hosts=[host.name],
            last_ns=host.last_batch_ns,
            seconds=host.clock_offset_ns / 10**9,
        )
        for host in hosts
        if host.clock_offset_ns is not None
        and host.clock_offset_ns > AHEAD_NS
        and is_fresh(host, now_ns // 10**6)
    ]


def _never_delivered(tokens: Sequence[Token], known: Iterable[str]) -> Sequence[Found]:
    # With a token recordings come that are below its host, too.
    known = {owner for name in known for owner in _owners(name)}
    since: dict[str, list[int]] = {}
    for token in tokens:
        if token.kind == _INGEST and token.host is not None and token.host not in known:
            since.setdefault(token.host, []).extend([] if token.created_ns is None else [token.created_ns])
    return [
        Found(code=Code.NEVER_DELIVERED, hosts=[name], since_ns=min(times, default=None))
        for name, times in sorted(since.items())
    ]


def _owners(name: str) -> Iterable[str]:
    """Return the hosts whose token may have brought a host: itself, and those that it is below."""
    return accumulate(name.split(BELOW), lambda above, part: f"{above}{BELOW}{part}")
