# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that keeps its history: sums it up, and bounds what it takes."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Table

from backend.errors import RetentionError, StoreError
from backend.store.contract.jobs import JobClaim
from backend.store.contract.levels import LENGTHS_S, Levels
from backend.store.contract.retention import BY_LENGTH_S, Kept, Retention, kept_whole, next_to_remove
from backend.store.contract.series import Metric, Recorded
from backend.store.contract.storage import FreeSpace, Storage, StoredLevel, StoredRecords
from backend.store.sql import folding
from backend.store.sql.catalog import jobs, retention, state_changes
from backend.store.sql.reads import SqlReads
from backend.store.sql.series import retention as removing
from backend.store.sql.series import rollup, sizes
from backend.store.sql.series.pending import read_levels
from backend.store.sql.series.stored import StoredSeries
from backend.store.sql.writer import Writer


class Bytes(NamedTuple):
    """What a database takes, how much of it is free (None where that is not known) and what is stored takes.

    ``is_about``: whether that is an estimate.
    """

    whole: int
    free: int | None
    free_space: FreeSpace
    used: int
    is_about: bool


class HistoryJobs(SqlReads):
    """What jobs do with the history, and what is shown and set of it."""

    series: StoredSeries
    _rollup: rollup.Rollup
    """Both set by the store."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Writer]:
        """Open a transaction that is committed at its end, and undone by an exception."""

    def roll_up(self, now_s: int, claim: JobClaim) -> bool:
        """Sum counts up to coarser levels, for a job, and return whether there may be more to do."""
        # A transaction that writes nothing would tell those who keep answers that something has changed.
        with self.checking() as connection:
            if not rollup.is_due(connection, now_s):
                return False
        self.series.begin_summing()
        try:
            with self.writing() as writer:
                is_more = self._rollup.roll_up(writer, now_s)
                jobs.check_held(writer, claim)
        except StoreError as exc:
            self._rollup.note_failure(str(exc))
            raise
        if not is_more and self._rollup.failure:
            raise StoreError(f"all is summed up but what failed: {self._rollup.failure}")
        return is_more

    def storage(self) -> Storage:
        """Return what is stored and how long, and what is yet to be summed up."""
        with self._reading() as connection:
            levels, wanted = read_levels(connection), retention.read_retention(connection)
            records = removing.read_kept_from(connection)
            space = self._bytes_of(connection)
            known = sizes.read_sizes(connection)
            exits, faults = (
                StoredRecords(
                    age_s=wanted.age_s(kept),
                    kept_from_s=records.get(kept),
                    size=sizes.records_size(known, kind),
                )
                for kept, kind in ((Kept.EXITS, Recorded.EXITS), (Kept.FAULTS, Recorded.FAULTS))
            )
            return Storage(
                levels=[_stored_level(levels, length_s, wanted, known) for length_s in LENGTHS_S],
                exits=exits,
                faults=faults,
                bytes=space.whole + self.series.size(),
                free_bytes=space.free,
                free_space=space.free_space,
                used_bytes=space.used + self.series.size(),
                used_is_about=space.is_about,
                max_bytes=retention.max_bytes(connection),
            )

    @abstractmethod
    def _bytes_of(self, connection: Connection) -> "Bytes":
        """Return how many bytes the database takes."""

    def measure_sizes(self, claim: JobClaim) -> None:
        """Measure what counts and records take, for a job, where that was long ago."""
        with self.checking() as connection:
            known = sizes.read_sizes(connection)
        found = sizes.measure_due(known, self.reading, self._measure_any, claim.began_ns)
        with self.writing() as writer:
            sizes.note_sizes(writer, found)
            jobs.check_held(writer, claim)

    def _measure_any(self, connection: Connection, table: Table) -> sizes.Measured:
        return self.series.measured(table) or self._measure(connection, table)

    @abstractmethod
    def _measure(self, connection: Connection, table: Table) -> sizes.Measured:
        """Return what a table takes, its indexes included."""

    @abstractmethod
    def give_back(self, within_s: float, claim: JobClaim) -> int:
        """Have the database take less space, for a job and for a while. Return by how many bytes."""

    @abstractmethod
    def seconds_to_compact(self) -> int:
        """Return about how long ``compact`` takes."""

    @abstractmethod
    def compact(self) -> None:
        """Write the database anew, so that it gives free space back from then on."""

    def set_ages(self, ages_s: Mapping[Kept, int | None]) -> None:
        """Keep these up to other ages from now on; the others as before."""
        with self.writing() as writer:
            retention.set_ages(writer, ages_s)

    def set_max_bytes(self, most: int | None) -> None:
        """Have what is stored take so many bytes at most; None for any number."""
        with self.writing() as writer:
            retention.set_max_bytes(writer, most)

    def reset_max_bytes(self) -> None:
        """Have what is stored take as many bytes as by default."""
        with self.writing() as writer:
            retention.reset_max_bytes(writer)

    def note_kept(self, now_s: int, claim: JobClaim) -> bool:
        """Note from when on things are kept, for a job, by their ages. Return whether that has changed."""
        with self.writing() as writer:
            wanted = retention.read_retention(writer.connection)
            if wanted.is_for_ever and retention.max_bytes(writer.connection) is None:
                return False
            time_s = retention.go_on(writer, now_s)
            jobs.check_held(writer, claim)
        if time_s is None:
            return False
        ages = {kept: wanted.age_s(kept) for kept in Kept}
        wanted_s = {kept: time_s - age_s for kept, age_s in ages.items() if age_s is not None}
        with self.checking() as connection:
            ends_s = self._parted_at(connection)
            wanted_s = {
                kept: kept_whole(from_s, time_s, ends_s.get(kept, ())) for kept, from_s in wanted_s.items()
            }
            if not removing.is_later(connection, wanted_s):
                return False
        with self._noted.noting() as note, self.writing() as writer:
            is_noted = removing.note_kept(writer, wanted_s, note)
            jobs.check_held(writer, claim)
        return is_noted

    def note_bytes(self, claim: JobClaim) -> bool:
        """Note from when on one more thing is kept, for a job, where what is stored takes too many bytes."""
        is_elsewhere = self.series.is_elsewhere
        with self.checking() as connection:
            most, now_s = retention.max_bytes(connection), retention.reached_s(connection)
            first_s = retention.first_s(connection)
            if most is None or now_s is None or first_s is None:
                return False
            used = self._bytes_of(connection).used + self.series.size()
            # What was noted before frees some yet.
            if used <= most or not removing.is_all_removed(connection):
                return False
            kept_from_s = removing.read_kept_from(connection)
            ends_s = self.series.ends_s() if is_elsewhere else self._parted_at(connection)
        from_s = {kept: kept_from_s.get(kept, first_s) for kept in Kept}
        following = next_to_remove(from_s, now_s, ends_s, is_whole=is_elsewhere)
        too_many = f"what is stored takes {used:,} bytes, and may take {most:,}"
        if following is None:
            raise RetentionError(f"{too_many}; all is removed that may be: set shorter ages, or more bytes")
        with self._noted.noting() as note, self.writing() as writer:
            is_noted = removing.note_kept(writer, dict([following]), note)
            jobs.check_held(writer, claim)
        if not is_noted:
            raise RetentionError(f"{too_many}; what is to be removed next is yet to be summed up")
        # Elsewhere nobody waits for whoever still reads a state of before: it is removed with the next run.
        return not is_elsewhere

    def make_partitions(self, claim: JobClaim) -> None:
        """Do nothing: a table has no parts."""

    def _parted_at(self, connection: Connection) -> Mapping[Kept, Sequence[int]]:
        """Return where parts of tables end that are removed as a whole, s since the epoch, ascending."""
        return {}

    def remove_older(self, within_s: float, claim: JobClaim) -> int:
        """Remove what is older than is kept, for a job and for a while. Return how many rows that were."""
        return self.series.remove_older(self.reading, self._writing_for(claim), within_s)

    def remove_old_changes(self, now_s: int, within_s: float, claim: JobClaim) -> int:
        """Remove those changes that are not kept any more, for a job and for a while. Return how many."""
        return state_changes.remove_old(self.reading, self._writing_for(claim), now_s, within_s)

    def fold(self, within_s: float, claim: JobClaim) -> int:
        """Fold what nothing is kept of any more, for a job and for a while. Return how much that was."""
        return folding.fold(self.reading, self._writing_for(claim), self.series, within_s)

    def _writing_for(self, claim: JobClaim) -> Callable[[], AbstractContextManager[Writer]]:
        """Return what opens transactions that write nothing once the job was taken over."""

        @contextmanager
        def writing() -> Iterator[Writer]:
            with self.writing() as writer:
                yield writer
                jobs.check_held(writer, claim)

        return writing

    @abstractmethod
    def numbers_given(self, connection: Connection) -> Mapping[str, int]:
        """Return the greatest number that each table, and the exits of all, ever gave to a row."""

    @abstractmethod
    def give_after(self, writer: Writer, numbers: Mapping[str, int]) -> None:
        """Give greater numbers from now on."""


def _stored_level(levels: Levels, length_s: int, wanted: Retention, known: sizes.Sizes) -> StoredLevel:
    pending = levels.pending.get(length_s, ())
    return StoredLevel(
        length_s=length_s,
        age_s=wanted.age_s(BY_LENGTH_S[length_s]),
        kept_from_s=levels.kept_from_s.get(length_s),
        pending=len(pending),
        pending_from_s=min((one.from_s for one in pending), default=None),
        sizes={metric: sizes.counts_size(known, metric, length_s) for metric in Metric},
    )
