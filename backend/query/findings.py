# SPDX-License-Identifier: Apache-2.0
"""What is wrong with how hosts are traced: noticed, refused, or expected and never there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from backend.query.guest_history import AtOnce, at_once
from backend.query.readiness import is_fresh
from backend.schedule import EVERY_S, WITHIN_S
from backend.store.contract.access import Refusal, Token
from backend.store.contract.clock import BEHIND_NS, RELEASED_NS
from backend.store.contract.hosts import FindingCode, HostStatus
from backend.store.contract.jobs import JobState
from backend.store.contract.store import Store
from backend.store.contract.vms import VmMember
from backend.times import rfc3339_ns
from backend.token_list import token_id
from faultmodel.problem import ProblemCode
from faultmodel.units import NS_PER_MS, NS_PER_S

CURRENT_NS = 60 * 10**9
"""What was seen within this goes on."""
ONE_HOST_MS = 60_000
"""VMs of one guest that run at once on a host for longer are no migration within it."""
TWO_HOSTS_MS = 3_600_000
"""The same of two hosts."""
AHEAD_NS = 10 * 10**9
"""A clock that is ahead by more is a finding."""
_INGEST = "ingest"


class Code(StrEnum):
    """What is wrong."""

    COUNTED_TWICE = FindingCode.COUNTED_TWICE.value
    TWO_NAMES = FindingCode.TWO_NAMES.value
    TWO_MACHINES = FindingCode.TWO_MACHINES.value
    RENAMED = FindingCode.RENAMED.value
    CLOCK_AHEAD = "clock_ahead"
    """The host's clock is ahead of the server's."""
    CLOCK_BEHIND = "clock_behind"
    """The host's clock is behind the server's: one of the two is wrong."""
    SERVER_CLOCK_AHEAD = "server_clock_ahead"
    """The server's clock is ahead of most hosts' clocks."""
    SERVER_CLOCK = "server_clock"
    """The server's own clock cannot be right: no batch is taken."""
    REFUSED = "refused"
    """Batches of the host, or of an unknown sender, were refused."""
    JOB_FAILED = "job_failed"
    """What the server does without being asked failed, or was not done for long."""
    DUPLICATE_GUEST = "duplicate_guest"
    """VMs that run at once go by one UUID, or by one name on a host: for longer than a migration takes."""
    NEVER_DELIVERED = "never_delivered"
    """There is a token for the host, and no batch of it ever came."""


_OPEN = frozenset({Code.COUNTED_TWICE, Code.TWO_NAMES, Code.REFUSED, Code.NEVER_DELIVERED})
"""With these the account of a host is open, while they are current or for ever after a double count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that is wrong. Times: UTC ns, None where nothing is known of them.

    ``is_current``: it goes on. ``is_lacking``: of what was refused, not all is known to be stored since.
    ``seconds``: by how much a host's clock, or the server's, is ahead or behind. ``token`` (its id, empty
    where it is not known), ``reason``, ``times`` and ``detail`` (the newest answer) are those of refusals; of
    the server's clock, ``detail`` says what to do. ``job`` is what a job that failed is called, ``detail``
    why it did. ``guest`` is the id of the guest whose VMs run at once.
    """

    code: Code
    hosts: Sequence[str]
    since_ns: int | None = None
    last_ns: int | None = None
    is_current: bool = True
    is_lacking: bool = False
    seconds: float | None = None
    token: str = ""
    reason: ProblemCode | None = None
    times: int | None = None
    job: str = ""
    guest: str = ""
    detail: str = ""

    @property
    def leaves_open(self) -> bool:
        """Whether what is stored of the hosts is not all that there was, or more than that."""
        if self.code in (Code.COUNTED_TWICE, Code.TWO_NAMES) or self.reason is ProblemCode.DAMAGED:
            return True
        return self.is_lacking or (self.code in _OPEN and self.is_current)


def find(store: Store, now_ns: int, ahead_ns: Mapping[str, int] | None = None) -> Sequence[Found]:
    """Return everything that is wrong with hosts' accounts, what goes on first, then the newest.

    :param ahead_ns: as ``find_among`` has it; None where nothing is known of clocks
    """
    with store.snapshot():
        hosts, taken_ns = store.hosts(recordings=0), store.known_hosts(recordings=0).taken_ns
        return find_among(store, hosts, taken_ns, store.clock_problem(now_ns), ahead_ns or {}, now_ns)


def find_among(
    store: Store,
    hosts: Sequence[HostStatus],
    taken_ns: Mapping[str, int],
    clock_problem: str,
    ahead_ns: Mapping[str, int],
    now_ns: int,
) -> Sequence[Found]:
    """Return the same, and what is wrong with clocks, where the hosts, all that are live, were read, and
    what is wrong with the clock.

    Within the snapshot of the store in which they were.

    :param ahead_ns: by how much clocks of hosts are ahead of the server's, as ``HostClocks`` has it
    """
    tokens = store.tokens()
    used = frozenset(store.tokens_that_brought(""))
    refusals, noticed = store.refusals(), store.findings()
    unused = [token for token in tokens if token.sha256 not in used and token.host not in taken_ns]
    of_unknown = frozenset(store.recordings_of_unknown_tokens() if unused else ())
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
    refused: dict[tuple[str, ProblemCode], list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        refused[refusal.token, refusal.code].append(refusal)
    found += [_refused(alike, taken_ns.get(alike[0].host), now_ns) for alike in refused.values()]
    if clock_problem:
        found.append(Found(code=Code.SERVER_CLOCK, hosts=[], detail=clock_problem))
    found += _clocks_behind(ahead_ns, now_ns)
    found += _jobs_failed(store.jobs(), store.shared_now_ns(now_ns))
    found += _clocks_ahead(hosts, now_ns)
    found += _duplicate_guests(store.lives_at_once())
    # Who brought something to an earlier release is not known: perhaps a host of a recording's very name.
    found += _never_delivered([token for token in unused if token.host not in of_unknown])
    return sorted(found, key=lambda item: (not item.is_current, -(item.last_ns or now_ns)))


def _refused(alike: Sequence[Refusal], taken_ns: int | None, now_ns: int) -> Found:
    """Sum up refusals of one token and reason, newest first.

    A batch that is stored since was refused for something that has passed. Of others it is not known whether
    they are: then what was taken of the host later, and for a while, shows that.

    :param taken_ns: when a batch of their host was taken last; None where none ever was
    """
    newest = alike[0]

    def goes_on(item: Refusal) -> bool:
        if item.is_stored:
            return False
        is_recent = now_ns - item.last_ns <= CURRENT_NS
        if not item.host:  # A sender that is not known is never taken.
            return is_recent
        is_newest = taken_ns is None or item.last_ns > taken_ns
        return is_newest or (is_recent and item.code is not ProblemCode.DAMAGED)

    is_current = any(map(goes_on, alike))
    return Found(
        code=Code.REFUSED,
        hosts=[newest.host] if newest.host else [],
        since_ns=min(item.first_ns for item in alike),
        last_ns=newest.last_ns,
        is_current=is_current,
        is_lacking=is_current or any(item.batch is not None and not item.is_stored for item in alike),
        token=newest.token and token_id(Token(newest.token, _INGEST, newest.host)),
        reason=newest.code,
        times=sum(item.count for item in alike),
        detail=newest.detail,
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
        if not host.is_recording
        and host.clock_offset_ns is not None
        and host.clock_offset_ns > AHEAD_NS
        and is_fresh(host, now_ns // 10**6)
    ]


def _duplicate_guests(lives: Sequence[VmMember]) -> Sequence[Found]:
    """Return the guests of which several VMs run at once: on one host, else on several, for too long."""
    by_guest: dict[str, list[VmMember]] = defaultdict(list)
    for vm in lives:
        if vm.is_current:
            by_guest[vm.guest].append(vm)
    found = []
    for guest, vms in sorted(by_guest.items()):
        by_host: dict[str, list[VmMember]] = defaultdict(list)
        for vm in vms:
            by_host[vm.host].append(vm)
        too_long = [one for of_host in by_host.values() for one in _longer_than(ONE_HOST_MS, of_host)]
        for one in too_long or _longer_than(TWO_HOSTS_MS, vms):
            found.append(
                Found(
                    code=Code.DUPLICATE_GUEST,
                    hosts=one.hosts,
                    since_ns=one.from_ms * NS_PER_MS,
                    last_ns=one.to_ms * NS_PER_MS,
                    guest=guest,
                )
            )
    return found


def _longer_than(time_ms: int, vms: Sequence[VmMember]) -> Sequence[AtOnce]:
    return [one for one in at_once(vms) if one.to_ms - one.from_ms > time_ms]


def _clocks_behind(ahead_ns: Mapping[str, int], now_ns: int) -> Sequence[Found]:
    """Return whose clocks are behind, or that the server's is ahead: of most hosts', and of two at least."""
    behind_ns = {host: -ahead for host, ahead in ahead_ns.items() if ahead < -AHEAD_NS}
    # A clock that says a time before this program was made is wrong itself.
    witnesses = {host: ahead for host, ahead in ahead_ns.items() if now_ns + ahead >= RELEASED_NS}
    confirming = [-ahead for ahead in witnesses.values() if ahead < -BEHIND_NS]
    if len(confirming) < 2 or 2 * len(confirming) <= len(witnesses):
        return [
            Found(code=Code.CLOCK_BEHIND, hosts=[host], seconds=behind / NS_PER_S)
            for host, behind in sorted(behind_ns.items())
        ]
    detail = (
        f"the server's clock says {rfc3339_ns(now_ns)[:19]}Z, ahead of the clocks of {len(confirming)} of"
        f" {len(witnesses)} hosts: set it"
    )
    return [
        Found(code=Code.SERVER_CLOCK_AHEAD, hosts=[], seconds=median(confirming) / NS_PER_S, detail=detail)
    ]


def _jobs_failed(jobs: Sequence[JobState], now_ns: int) -> Sequence[Found]:
    """Return the jobs that failed, or of which no run ended for much longer than their interval."""
    found = []
    for job in jobs:
        every_s = EVERY_S.get(job.name)
        if every_s is None:  # Another release's.
            continue
        why = job.failure(now_ns)
        late_s = 2 * (every_s + WITHIN_S)
        if not why and job.ended_ns is not None and now_ns - job.ended_ns > late_s * NS_PER_S:
            why = f"it was not done for longer than {late_s} s"
        if why:
            found.append(
                Found(code=Code.JOB_FAILED, hosts=[], last_ns=job.ended_ns, job=job.name, detail=why)
            )
    return found


def _never_delivered(tokens: Sequence[Token]) -> Sequence[Found]:
    since: dict[str, list[int]] = {}
    for token in tokens:
        if token.kind == _INGEST and token.host is not None:
            since.setdefault(token.host, []).extend([] if token.created_ns is None else [token.created_ns])
    return [
        Found(code=Code.NEVER_DELIVERED, hosts=[name], since_ns=min(times, default=None))
        for name, times in sorted(since.items())
    ]
