# SPDX-License-Identifier: Apache-2.0
"""What is known of hosts and VMs, and of who brings batches: small, changed in transactions, always SQL."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from backend.store.contract.access import Brought, Refusal, Session, Token
from backend.store.contract.accounts import BatchAccount, CountingTotal, FoldedVms
from backend.store.contract.guests import Guest
from backend.store.contract.hosts import (
    AsOf,
    Contents,
    CoveredSpan,
    Finding,
    HookEvent,
    HostEventRow,
    HostProbes,
    HostStatus,
    KnownHosts,
)
from backend.store.contract.jobs import JobClaim, JobState
from backend.store.contract.values import Place, TimeRange
from backend.store.contract.vms import VmCoverage, VmFilter, VmMember, VmMembers
from faultmodel.record import Collector


class Catalog(Protocol):
    """Hosts, VMs and vCPUs, coverage and events, tokens and what came by them, sessions, jobs."""

    def members(self, where: VmFilter, span: TimeRange) -> VmMembers:
        """Return the VMs that existed in the range, as many as can be looked through; no order."""

    def lifetimes(self) -> tuple[int, int]:
        """Return when the first VM was seen first and when one was last, UTC ms; no count lies outside."""

    def members_named(self, vm_ids: Sequence[str]) -> Sequence[VmMember]:
        """Return these VMs, in this order. :raises NotFoundError: a VM is unknown"""

    def members_numbered(self, numbers: Sequence[int]) -> Sequence[VmMember]:
        """Return the VMs with these numbers; no order."""

    def guests_named(self, guest_ids: Sequence[str]) -> Mapping[str, Guest]:
        """Return guests by the ids that are given, of which one may be a former one of its guest.

        :raises NotFoundError: a guest is unknown
        """

    def lives_at_once(self) -> Sequence[VmMember]:
        """Return VMs that have no known end and are not the only such life of their guest; no order."""

    def commands(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the command lines of VMs, by id."""

    def vcpu_count(self, vm_ids: Sequence[str]) -> int:
        """Return how many vCPUs of VMs ever counted, one of the same number in several VMs once."""

    def counting_totals(self, vm_ids: Sequence[str]) -> Sequence[CountingTotal]:
        """Return what each counting has seen of VMs, ever; no order."""

    def unequal_countings(self, vm_ids: Sequence[str]) -> Sequence[CountingTotal]:
        """Return the same of those countings alone of which not as much is stored as was seen."""

    def doubled(self, vm_ids: Sequence[str]) -> Collection[str]:
        """Return those of the VMs that two countings counted at the same time."""

    def coverage(self, host_names: Sequence[str] | None, span: TimeRange) -> Sequence[CoveredSpan]:
        """Return covered spans that meet the range, by host and time, clipped to it."""

    def vm_coverage(self, vm_ids: Sequence[str], span: TimeRange) -> VmCoverage:
        """Return when VMs were covered, clipped to the range. VMs that are not known are left out.

        That is when the boot of the host that they ran on was covered: of two machines that go by one name,
        one may be traced while the other is not.
        """

    def boot_coverage(
        self, host_names: Sequence[str] | None, span: TimeRange
    ) -> Mapping[tuple[str, str], Sequence[CoveredSpan]]:
        """Return covered spans clipped to the range, by time, of each host's name and boot.

        What an earlier release stored, of no boot, is each boot's where there are others, else that of "".
        """

    def findings(self) -> Sequence[Finding]:
        """Return what is wrong with how hosts are traced, newest first."""

    def contents(self, host: str | None) -> Contents:
        """Return how much is stored, of a host or of all. :raises NotFoundError: there is no such host"""

    def vm_faults(self, vm_id: str) -> int:
        """Return how many faults of a VM are stored. :raises NotFoundError: there is none"""

    def tokens_that_brought(self, prefix: str) -> Sequence[str]:
        """Return the hashes of tokens, revoked ones too, that brought something and begin so."""

    def recordings_of_unknown_tokens(self) -> Sequence[str]:
        """Return the names of recordings of which an earlier release stored something."""

    def brought(self, token: str) -> Brought:
        """Return what came by a token."""

    def refusals(self) -> Sequence[Refusal]:
        """Return who was refused, newest first."""

    def add_refusals(self, found: Sequence[Refusal]) -> None:
        """Add refusals to those of their token and reason."""

    def hosts(self, *, recordings: int | None = None) -> Sequence[HostStatus]:
        """Return every host, by name.

        :param recordings: so many of those that are recordings, which were heard of last; all where None
        """

    def known_hosts(self, *, recordings: int) -> KnownHosts:
        """Return which hosts there are, and which of them ``hosts`` lists."""

    def as_of(self, hosts: Collection[str] | None) -> AsOf:
        """Return the newest batch of these hosts, None for every one: of those that were heard of last."""

    def collector_of(self, host: str) -> Collector | None:
        """Return what a host's collector reports of itself, None where it did not.

        :raises NotFoundError: there is no host of this name
        """

    def probes_of(self, host_names: Sequence[str]) -> Sequence[HostProbes]:
        """Return what these hosts' collectors read, by name. A host that is not known is left out."""

    def host_of(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""

    def host_names(self) -> Sequence[str]:
        """Return the name of every host, in order."""

    def live_hosts(self, host_names: Sequence[str] | None) -> Sequence[str]:
        """Return which of these hosts, or of all, were ever covered and are no recordings, in order."""

    def vms_of(self, host_names: Sequence[str] | None, span: TimeRange) -> Iterator[tuple[str, str]]:
        """Yield id and host's name of the VMs of hosts, or of every host, that existed in the range.

        :raises NotFoundError: there is no such host
        """

    def news(self) -> str:
        """Return a text that is another one after each loss and each event of a host."""

    def host_events(
        self, host_names: Sequence[str] | None, span: TimeRange, *, limit: int, before: Place | None
    ) -> Sequence[HostEventRow]:
        """Return events of hosts, or of every host, newest first. :raises NotFoundError: no such host

        :param before: (time_ns, position) of the last event of the page before
        """

    def hook_events(self, host_names: Sequence[str], hook: str, span: TimeRange) -> Sequence[HookEvent]:
        """Return when a hook of these hosts was shed and restored, by time: the newest event before the
        range, and those in it. A host that never shed any, or is not known, is left out.

        :param hook: the tracepoint
        """

    def folded_vms(self, host_names: Sequence[str] | None) -> Sequence[FoldedVms]:
        """Return VMs of which nothing is kept but their sum, by host; hosts without any are left out.

        None: of every host. :raises NotFoundError: there is no such host
        """

    def batch_accounts(self, host_names: Sequence[str] | None) -> Sequence[BatchAccount]:
        """Return what became of hosts' batches, by host. None: of every one.

        :raises NotFoundError: there is no such host
        """

    def newest_received_ns(self) -> int:
        """Return when a batch was received last, by the server's own clock; 0 where none is stored."""

    def clock_problem(self, now_ns: int) -> str:
        """Return why the server's clock cannot be right, and what to do; empty where it can.

        As long as it cannot, ``apply`` takes nothing.
        """

    def forget_later(self, now_ns: int) -> int:
        """Have nothing be received later than now, and return how many times were.

        No VM was then seen later than that, or than its host's counts: those stay, as do losses, events and
        costs.
        """

    def add_token(self, token: Token) -> None:
        """Store a token's hash."""

    def tokens(self) -> Sequence[Token]:
        """Return every token's hash, by hash."""

    def token(self, sha256: str) -> Token | None:
        """Return the token with this hash, None where there is none."""

    def known_tokens(self, hashes: Sequence[str]) -> Mapping[str, Token]:
        """Return the tokens with these hashes, as far as there are any, by hash."""

    def remove_token(self, sha256: str) -> None:
        """Forget the token with this hash, if it is there, and its sessions."""

    def add_session(self, session: Session) -> None:
        """Store a session. Of very many, those that end first are forgotten."""

    def session_tokens(self, hashes: Sequence[str], after_ns: int, by_ns: int) -> Mapping[str, Token]:
        """Return the tokens of the sessions with these hashes, by hash, as far as they are open.

        One is open where it ends after ``after_ns`` and by ``by_ns``, UTC, and its token is there.
        """

    def remove_session(self, sha256: str) -> None:
        """Forget the session with this hash, if it is there."""

    def remove_sessions_outside(self, after_ns: int, by_ns: int, claim: JobClaim) -> int:
        """Forget the sessions that do not end after and by these times, and return how many they were.

        :param claim: of the job that asks for it
        :raises LostJobError: another server has taken the job over; nothing is forgotten
        """

    def shared_now_ns(self, own_ns: int) -> int:
        """Return the time, UTC ns, by the one clock that all servers on this database share.

        :param own_ns: what this server's own clock says
        """

    def claim_job(self, claim: JobClaim) -> bool:
        """Take a job, unless another server has it or it was done less than its interval ago.

        A run that failed, or that was not ended in time, leaves it to whoever comes next.

        :return: whether it was taken
        """

    def finish_job(self, claim: JobClaim, ended_ns: int, error: str) -> None:
        """Give a job back and note how it went, unless another server has taken it over."""

    def jobs(self) -> Sequence[JobState]:
        """Return every job that was ever begun, by name."""
