"""What a store does: the contract that every database's file fulfils. Its values are in ``values``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from backend.store.contract.accounts import BatchAccount, CostPoint, CountingTotal, LedgerPoint, LossPoint
from backend.store.contract.changes import Counted, Version
from backend.store.contract.values import (
    Brought,
    Contents,
    CoveredSpan,
    ExitPoint,
    ExitReasonCount,
    ExitRow,
    ExitSum,
    FaultPoint,
    FaultRow,
    FaultSum,
    Finding,
    HostEventRow,
    HostStatus,
    KnownHosts,
    Refusal,
    Split,
    Steps,
    SyndromeCount,
    SyndromePlace,
    TimeRange,
    Token,
    VcpuSummary,
    VmCoverage,
    VmFilter,
    VmMember,
    VmMembers,
    VmPlace,
    VmSummary,
)
from faultmodel.record import Collector, ExitKind
from faultmodel.wire import Batch


class Store(Protocol):
    """A database. Thread-safe: every method may be called from any thread at once.

    What reads keeps to the limit that ``time_limit.limited`` sets, and raises TooLongError beyond it.
    """

    @property
    def changes(self) -> int:
        """A number that is another one once this store has written anything."""

    def check_schema(self) -> None:
        """Raise SchemaError unless the database is migrated to exactly this version."""

    def apply(self, batch: Batch, received_ns: int, token: str = "") -> bool:
        """Store a batch and remember its number, in one transaction.

        :param token: hash of the token that brought it, empty where there was none
        :return: False where this batch was applied before; then nothing changes
        :raises BatchError: it contradicts itself; nothing changes
        :raises NotNowError: what is stored, or the server's clock, does not allow it now; nothing changes
        """

    def version(self) -> Version:
        """Return which state of counts, coverage and VMs is read."""

    def same_before(self, one: Version, other: Version) -> int:
        """Return the time, UTC ms, before which counts and coverage are the same; 0 where unknown."""

    def counted_between(self, one: Version, later: Version) -> Sequence[Counted] | None:
        """Return all that was counted from one version to a later one; None where unknown."""

    def members(self, where: VmFilter, span: TimeRange) -> VmMembers:
        """Return the VMs that existed in the range, as many as can be looked through; no order."""

    def lifetimes(self) -> tuple[int, int]:
        """Return when the first VM was seen first and when one was last, UTC ms; no count lies outside."""

    def members_named(self, vm_ids: Sequence[str]) -> Sequence[VmMember]:
        """Return these VMs, in this order. :raises NotFoundError: a VM is unknown"""

    def members_numbered(self, numbers: Sequence[int]) -> Sequence[VmMember]:
        """Return the VMs with these numbers; no order."""

    def commands(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the command lines of VMs, by id."""

    def fault_sums(self, steps: Steps) -> Iterator[FaultSum]:
        """Yield the faults of every VM in steps; no order.

        A VM and step without any is left out.
        """

    def exit_sums(self, steps: Steps) -> Iterator[ExitSum]:
        """Yield the same of exits of each kind."""

    def vms(
        self, where: VmFilter, span: TimeRange, *, limit: int, after: VmPlace | None
    ) -> Sequence[VmSummary]:
        """Return VMs that existed in the range: first those that run; newest first, then by id.

        :param after: of the last VM of the page before. A VM that ends between two pages may be on both.
        """

    def vm(self, vm_id: str, span: TimeRange) -> VmSummary:
        """Return one VM. :raises NotFoundError: there is none"""

    def vcpus(
        self, vm_id: str, span: TimeRange, *, limit: int | None = None, after: int = -1
    ) -> Sequence[VcpuSummary]:
        """Return a VM's vCPUs by number, those after ``after``. Every vCPU that ever counted is listed."""

    def vcpu_count(self, vm_id: str) -> int:
        """Return how many vCPUs of a VM ever counted."""

    def syndromes(
        self, vm_id: str, span: TimeRange, *, limit: int | None = None, after: SyndromePlace | None = None
    ) -> Sequence[SyndromeCount]:
        """Return counts by raw word, of words that faults had, in the order of their places.

        :param after: of the last word of the page before. One that has got more faults than that since, and
            was on no page yet, is on none
        """

    def each_syndrome(self, vm_id: str, span: TimeRange) -> Iterator[SyndromeCount]:
        """Yield counts by raw word, in no order: of words that were only mapped ahead of the guest, too."""

    def syndrome_number(self, vm_id: str, span: TimeRange) -> tuple[int, int]:
        """Return how many different words a VM's faults had, and how many faults that is."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Let everything that this thread reads until the end of the block see one state of the store."""

    def fault_points(
        self,
        vm_ids: Sequence[str] | None,
        steps: Steps,
        *,
        split: Split,
        counters: Sequence[str],
    ) -> Iterator[FaultPoint]:
        """Yield fault counts summed into steps; no order. None: every VM.

        A key may have several points, which add up.

        :param counters: which of ``faultmodel.record.COUNTERS`` to sum
        """

    def exit_points(self, vm_ids: Sequence[str] | None, kind: ExitKind, steps: Steps) -> Iterator[ExitPoint]:
        """Yield exit counts of a kind, summed into steps."""

    def exit_reasons(self, vm_id: str, span: TimeRange) -> Sequence[ExitReasonCount]:
        """Return every exit to user space by reason and errno, most first."""

    def exits(
        self,
        vm_ids: Sequence[str] | None,
        kind: ExitKind | None,
        span: TimeRange,
        *,
        limit: int,
        before: tuple[int, int] | None,
    ) -> Sequence[ExitRow]:
        """Return exit records, newest first.

        :param before: (time_ns, position) of the last record of the page before
        """

    def faults(
        self, vm_id: str, span: TimeRange, *, limit: int, before: tuple[int, int] | None
    ) -> Sequence[FaultRow]:
        """Return the records of a VM's guest faults, newest first. :raises NotFoundError: there is no such VM

        :param before: (time_ns, position) of the last record of the page before
        """

    def ledger_points(self, vm_ids: Sequence[str], steps: Steps) -> Sequence[LedgerPoint]:
        """Return what became of VMs' guest faults, in steps; no order."""

    def counting_totals(self, vm_ids: Sequence[str]) -> Sequence[CountingTotal]:
        """Return what each counting has seen of VMs, ever; no order."""

    def doubled(self, vm_ids: Sequence[str]) -> Collection[str]:
        """Return those of the VMs that two countings counted at the same time."""

    def coverage(self, hosts: Sequence[str] | None, span: TimeRange) -> Sequence[CoveredSpan]:
        """Return covered spans that meet the range, by host and time, clipped to it."""

    def vm_coverage(self, vm_ids: Sequence[str], span: TimeRange) -> VmCoverage:
        """Return when VMs were covered, clipped to the range. VMs that are not known are left out.

        That is when the boot of the host that they ran on was covered: of two machines that go by one name,
        one may be traced while the other is not.
        """

    def boot_coverage(
        self, hosts: Sequence[str] | None, span: TimeRange
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

    # These two take many short transactions: others write in between.

    def remove_vm(self, vm_id: str) -> None:
        """Remove a VM and everything of it. :raises NotFoundError: there is none"""

    def remove_host(self, name: str) -> None:
        """Remove a host and everything of it.

        :raises NotFoundError: there is no such host
        :raises StoreError: batches of it keep coming
        """

    def refusals(self) -> Sequence[Refusal]:
        """Return who was refused, newest first."""

    def add_refusals(self, found: Sequence[Refusal]) -> None:
        """Add refusals to those of their token and reason."""

    def hosts(self, *, recordings: int | None = None) -> Sequence[HostStatus]:
        """Return every host, by name.

        :param recordings: so many of those that are recordings, which were heard of last; all where None
        """

    def known_hosts(self, *, recordings: int) -> KnownHosts:
        """Return which hosts there are, and which ``hosts`` tells of."""

    def collector_of(self, host: str) -> Collector | None:
        """Return what a host's collector told of itself, None where it did not.

        :raises NotFoundError: there is no host of this name
        """

    def host_of(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""

    def vms_of(self, host: str | None, span: TimeRange) -> Iterator[tuple[str, str]]:
        """Yield id and host's name of the VMs of a host, or of every host, that existed in the range.

        :raises NotFoundError: there is no such host
        """

    def news(self) -> str:
        """Return a text that is another one after each loss and each event of a host."""

    def host_events(
        self, host: str | None, span: TimeRange, *, limit: int, before: tuple[int, int] | None
    ) -> Sequence[HostEventRow]:
        """Return events of a host, or of every host, newest first. :raises NotFoundError: no such host

        :param before: (time_ns, position) of the last event of the page before
        """

    # Of hosts by name, or of every host (None). :raises NotFoundError: there is no such host

    def losses(self, host_names: Sequence[str] | None, steps: Steps) -> Sequence[LossPoint]:
        """Return what hosts lost, in steps; no order."""

    def costs(self, host_names: Sequence[str] | None, steps: Steps) -> Sequence[CostPoint]:
        """Return what tracing cost on hosts, in steps; no order."""

    def batch_accounts(self, host_names: Sequence[str] | None) -> Sequence[BatchAccount]:
        """Return what became of hosts' batches, by host."""

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

    def remove_token(self, sha256: str) -> None:
        """Forget the token with this hash, if it is there."""

    def close(self) -> None:
        """Release every connection."""
