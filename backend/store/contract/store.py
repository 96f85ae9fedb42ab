# SPDX-License-Identifier: Apache-2.0
"""What a store does: a catalog and a series, and how they go together. Its values are in ``values``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from backend.store.contract.accounts import CostPoint, LedgerPoint, LedgerSum, LossPoint
from backend.store.contract.alerts import Alerts
from backend.store.contract.arrivals import ArrivalCount, Arrivals, Settled
from backend.store.contract.catalog import Catalog
from backend.store.contract.changes import Counted, Version
from backend.store.contract.jobs import JobClaim
from backend.store.contract.levels import Levels
from backend.store.contract.livelocks import Livelocks
from backend.store.contract.looks import Looks
from backend.store.contract.news import HostChange, Listener
from backend.store.contract.outstanding import OutstandingFaults
from backend.store.contract.record_requests import RecordRequests
from backend.store.contract.retention import Kept
from backend.store.contract.series import Series
from backend.store.contract.stalls import Stalls
from backend.store.contract.storage import Storage
from backend.store.contract.values import (
    ExitPoint,
    ExitReasonCount,
    ExitSum,
    FaultPoint,
    FaultSum,
    Place,
    RecordRow,
    Split,
    Steps,
    SyndromeCount,
    SyndromePlace,
    TimeRange,
)
from backend.store.contract.vms import CountsOfVms, VcpuSummary, VmFilter, VmPlace, VmSummary
from faultmodel.record import ExitKind
from faultmodel.wire import Batch


class Store(Catalog, Stalls, Looks, Livelocks, OutstandingFaults, RecordRequests, Alerts, Protocol):
    """A catalog and a series, and what needs both. Thread-safe: every method may be called from any thread.

    What reads keeps to the limit that ``time_limit.limited`` sets, and raises TooLongError beyond it.
    """

    @property
    def series(self) -> Series:
        """What is counted and recorded over time, by the numbers that the catalog gives."""

    @property
    def changes(self) -> int:
        """A number that is another one once this store, or another process that was heard of, has written
        anything."""

    def note_change(self) -> None:
        """Give ``changes`` another number: another process has written something."""

    def listening(self) -> AbstractContextManager[Listener]:
        """Hear what other processes store, until the end of the block. Of one thread.

        :raises StoreError: the database cannot be used
        """

    def host_changes(self) -> Mapping[int, HostChange]:
        """Return the newest change of every host, by the host's number."""

    def is_own_change(self, host: int, number: int) -> bool:
        """Tell whether this process is known to have stored a change of a host."""

    def check_schema(self) -> None:
        """Raise SchemaError unless the database is migrated to exactly this version."""

    def prepare(self) -> None:
        """Make what the series needs, where it lies in a database of its own; the catalog is migrated.

        :raises SchemaError: the two do not belong together, or the catalog is not migrated
        """

    def apply(self, batch: Batch, received_ns: int, token: str = "") -> bool:
        """Store a batch and remember its number, in one transaction.

        :param token: hash of the token that brought it, empty where there was none
        :return: False where this batch was applied before; then nothing changes
        :raises BatchError: it contradicts itself; nothing changes
        :raises NotNowError: what is stored, or the server's clock, does not allow it now; nothing changes
        """

    def roll_up(self, now_s: int, claim: JobClaim) -> bool:
        """Sum counts up to coarser levels, for some 40 ms, and return whether there may be more.

        :param now_s: UTC; buckets of which counts may still be on their way are left
        :raises LostJobError: another server has taken over the job; nothing changes
        """

    def storage(self) -> Storage:
        """Return what is stored and how long, and what is yet to be summed up."""

    def kept_levels(self, host_names: Sequence[str] | None = None, vm_ids: Sequence[str] = ()) -> Levels:
        """Return from when on each level of counts is kept. Where recordings alone are named, all is."""

    def kept_from_s(self, kept: Kept, vm_ids: Sequence[str] = ()) -> int | None:
        """Return from when on something is kept of VMs, of all where none is named; None for ever."""

    def set_ages(self, ages_s: Mapping[Kept, int | None]) -> None:
        """Keep these up to other ages, in s, from now on: None for ever. The others as before.

        :raises RetentionError: they contradict one another; nothing changes
        """

    def set_max_bytes(self, most: int | None) -> None:
        """Have what is stored take so many bytes at most from now on; None for any number.

        :raises RetentionError: they are too few; nothing changes
        """

    def reset_max_bytes(self) -> None:
        """Have what is stored take as many bytes as by default, by the number of hosts."""

    def note_kept(self, now_s: int, claim: JobClaim) -> bool:
        """Note from when on things are kept, by their ages. Return whether that has changed.

        From then on, nobody reads what is older. What is yet to be summed up is kept; and no time later than
        what the newest host's own clock said is taken for now.

        :raises LostJobError: another server has taken over the job; nothing changes
        :raises StoreError: others are storing what takes long; nothing changes
        """

    def note_bytes(self, claim: JobClaim) -> bool:
        """Note from when on one more thing is kept, where what is stored takes too many bytes.

        Return whether one was noted that can be removed at once: none is noted while there is something to
        remove of what was noted before, or before ``note_kept`` has judged ages once.

        :raises LostJobError: another server has taken over the job; nothing changes
        :raises RetentionError: nothing more may be removed, or not yet
        :raises StoreError: others are storing what takes long; nothing changes
        """

    def remove_older(self, within_s: float, claim: JobClaim) -> int:
        """Remove what is older than is kept, for a while, in transactions of some 30 ms.

        Return how many rows that were, those of parts of a table aside that were removed as a whole.
        :raises LostJobError: another server has taken over the job
        """

    def remove_old_changes(self, now_s: int, within_s: float, claim: JobClaim) -> int:
        """Remove what ``arrivals`` is to have no more of livelocks and faults under way, for a while.

        What was stored within a week is kept, and no more than 100,000 items. Return how many were removed.

        :param now_s: the time, s since the epoch
        :raises LostJobError: another server has taken over the job
        """

    def make_partitions(self, claim: JobClaim) -> None:
        """Make ready where rows of the time to come will lie, where the database parts tables by time.

        :raises StoreError: somewhere it cannot be done now; rows are stored all the same
        :raises LostJobError: another server has taken over the job
        """

    def fold(self, within_s: float, claim: JobClaim) -> int:
        """Fold VMs, coverage and events of which nothing else is kept any more, for a while.

        Transactions take some 30 ms.

        Return how much that was. :raises LostJobError: another server has taken over the job
        """

    def measure_sizes(self, claim: JobClaim) -> None:
        """Measure what counts and records take, where that was long ago: ``storage`` has what was found.

        :raises LostJobError: another server has taken over the job; nothing changes
        """

    def give_back(self, within_s: float, claim: JobClaim) -> int:
        """Have the database take less space by what is free in it, where it can, for a while, in transactions
        of some 30 ms.

        Return by how many bytes. :raises LostJobError: another server has taken over the job
        """

    def seconds_to_compact(self) -> int:
        """Return about how long ``compact`` takes. :raises StoreError: there is no room, or no need for it"""

    def compact(self) -> None:
        """Write the database anew, without what is free in it, so that it gives back from then on.

        Nobody else writes meanwhile. :raises StoreError: it is locked, or there is no room
        """

    def version(self) -> Version:
        """Return which state of counts, coverage and VMs is read."""

    def same_before(self, one: Version, other: Version) -> int:
        """Return the time, UTC ms, before which counts, accounts and coverage are the same; 0: unknown."""

    def same_counts_before(self, one: Version, other: Version) -> int:
        """Return the time, UTC ms, before which buckets that both keep have the same counts; 0: unknown.

        It is later than ``same_before`` where less is kept since, which changes answers and no count.
        """

    def counted_between(self, one: Version, later: Version) -> Sequence[Counted] | None:
        """Return all that was counted from one version to a later one; None where unknown."""

    def described_between(self, one: Version, later: Version) -> Collection[int] | None:
        """Return numbers of the VMs that were described anew, their times aside; None where unknown."""

    def fault_sums(self, steps: Steps) -> Iterator[FaultSum]:
        """Yield the faults of every VM in steps; no order.

        A VM and step without any is left out.
        """

    def exit_sums(self, steps: Steps) -> Iterator[ExitSum]:
        """Yield the same of exits of each kind."""

    def vms(
        self,
        where: VmFilter,
        span: TimeRange,
        *,
        limit: int,
        after: VmPlace | None,
        counted: CountsOfVms | None = None,
    ) -> Sequence[VmSummary]:
        """Return VMs that existed in the range: first those that run; newest first, then by id.

        :param counted: what every VM counted in the range, where that is known: else it is added up
        :param after: of the last VM of the page before. A VM that ends between two pages may be on both.
        """

    def vm(self, vm_id: str, span: TimeRange) -> VmSummary:
        """Return one VM. :raises NotFoundError: there is none"""

    def vcpus(
        self, vm_ids: Sequence[str], span: TimeRange, *, limit: int | None = None, after: int = -1
    ) -> Sequence[VcpuSummary]:
        """Return VMs' vCPUs by number, those after ``after``. Every vCPU that ever counted is listed.

        Of vCPUs of several VMs with the same number, the sums.
        """

    def syndromes(
        self,
        vm_ids: Sequence[str],
        span: TimeRange,
        *,
        limit: int | None = None,
        after: SyndromePlace | None = None,
    ) -> Sequence[SyndromeCount]:
        """Return counts by raw word, of words that VMs' faults had, in the order of their places.

        :param after: of the last word of the page before. One that has got more faults than that since, and
            was on no page yet, is on none
        """

    def each_syndrome(self, vm_ids: Sequence[str], span: TimeRange) -> Iterator[SyndromeCount]:
        """Yield counts by raw word, in no order: of words that were only mapped ahead of the guest, too."""

    def syndrome_number(self, vm_ids: Sequence[str], span: TimeRange) -> tuple[int, int]:
        """Return how many different words VMs' faults had, and how many faults that is."""

    def snapshot(self) -> AbstractContextManager[object]:
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

    def exit_reasons(self, vm_ids: Sequence[str], span: TimeRange) -> Sequence[ExitReasonCount]:
        """Return VMs' exits to user space by reason and errno, most first: of 1,000 reasons at most."""

    def exit_total(self, vm_ids: Sequence[str], span: TimeRange) -> int:
        """Return how many exits to user space VMs had, of whatever reason."""

    def exits(
        self,
        vm_ids: Sequence[str] | None,
        kind: ExitKind | None,
        span: TimeRange,
        *,
        limit: int,
        before: Place | None,
    ) -> Sequence[RecordRow]:
        """Return exit records, newest first.

        :param before: (time_ns, position) of the last record of the page before
        """

    def settled(self) -> Settled:
        """Return up to which number all is stored that ever will be: ``arrivals`` has it from now on.

        Not within a ``snapshot``, which may be of a time before.
        """

    def arrivals(self, after: int, to: int, *, limit: int) -> Arrivals:
        """Return the first items that were stored behind ``after``, up to ``to``, by their numbers.

        :param to: what ``settled`` gave, or less
        """

    def arrival_counts(self, after: int, to: int) -> Sequence[ArrivalCount]:
        """Return how much that is of each VM; a VM may come several times."""

    def faults(
        self, vm_ids: Sequence[str], span: TimeRange, *, limit: int, before: Place | None
    ) -> Sequence[RecordRow]:
        """Return the records of VMs' guest faults, newest first. :raises NotFoundError: a VM is unknown

        :param before: (time_ns, position) of the last record of the page before
        """

    def ledger_points(self, vm_ids: Sequence[str], steps: Steps) -> Sequence[LedgerPoint]:
        """Return what became of VMs' guest faults, in steps; no order."""

    def ledger_sums(self, steps: Steps) -> Iterator[LedgerSum]:
        """Yield what became of every VM's guest faults, in steps; no order. One without any is left out."""

    # These two take many short transactions: others write in between.

    def remove_vm(self, vm_id: str) -> None:
        """Remove a VM and everything of it. :raises NotFoundError: there is none"""

    def remove_host(self, name: str) -> None:
        """Remove a host and everything of it.

        :raises NotFoundError: there is no such host
        :raises StoreError: batches of it keep coming
        """

    # Of hosts by name, or of every host (None). :raises NotFoundError: there is no such host

    def losses(self, host_names: Sequence[str] | None, steps: Steps) -> Sequence[LossPoint]:
        """Return what hosts lost, in steps; no order."""

    def costs(self, host_names: Sequence[str] | None, steps: Steps) -> Sequence[CostPoint]:
        """Return what tracing cost on hosts, in steps; no order."""

    def close(self) -> None:
        """Release every connection."""
