# SPDX-License-Identifier: Apache-2.0
"""The Store over any SQL database: which transaction each method runs in, and which statements.

A database's own file opens the transactions and brings the Writer; everything else is the same for all.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import chain, count
from secrets import token_hex
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, bindparam, delete, select
from sqlalchemy.engine import Row

from backend.errors import RetentionError, StoreError
from backend.store.contract.access import Refusal, Session, Token
from backend.store.contract.changes import FOR_EVER_MS, Change, counted_of
from backend.store.contract.check import check_batch
from backend.store.contract.jobs import JobClaim, JobState
from backend.store.contract.levels import LENGTHS_S, Levels
from backend.store.contract.news import HostChange, Listener, News, decode, encode, news_of
from backend.store.contract.retention import BY_LENGTH_S, Kept, Retention, next_to_remove
from backend.store.contract.series import Block, Metric, Recorded
from backend.store.contract.storage import FreeSpace, Storage, StoredLevel, StoredRecords
from backend.store.sql import folding, removal
from backend.store.sql.catalog import (
    applied,
    countings,
    coverage,
    host_clock,
    host_events,
    hosts,
    jobs,
    losses,
    origins,
    refusals,
    retention,
    server_clock,
    sessions,
    sources,
    vm_descriptions,
    vm_queries,
)
from backend.store.sql.host_reads import HostReads
from backend.store.sql.ranges import chunks
from backend.store.sql.revision import check_revision, check_whole
from backend.store.sql.series import retention as removing
from backend.store.sql.series import rollup, sizes
from backend.store.sql.series.pending import read_levels
from backend.store.sql.series.series import SqlSeries
from backend.store.sql.series.stored import NewSeries, StoredSeries, Transactions
from backend.store.sql.tables import tokens as tokens_table
from backend.store.sql.vm_reads import VmReads
from backend.store.sql.writer import Writer
from faultmodel.record import Span
from faultmodel.sections import MAX_ROWS
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

# Built once: it is executed for every batch.
_tokens = select(tokens_table).order_by(tokens_table.c.sha256)
_token = select(tokens_table).where(tokens_table.c.sha256 == bindparam("hash"))
_these_tokens = select(tokens_table).where(tokens_table.c.sha256.in_(bindparam("hashes", expanding=True)))


class Bytes(NamedTuple):
    """What a database takes, how much of it is free (None where that is not known) and what is stored takes.

    ``is_about``: whether that is an estimate.
    """

    whole: int
    free: int | None
    free_space: FreeSpace
    used: int
    is_about: bool


class SqlStore(VmReads, HostReads):
    """A Store. Thread-safe as far as ``reading``, ``checking`` and ``writing`` are."""

    series: StoredSeries

    def __init__(self, new_series: NewSeries = SqlSeries) -> None:
        super().__init__()
        self._numbers_of_changes = count(1)
        self._changes = 0
        self._name = token_hex(8)
        """By which this process knows its own news."""
        self.series = new_series(Transactions(self._reading, self.checking, self._writing))
        self._rollup = rollup.Rollup(self.series.sum_up, pace=self.series.pace)
        self._clock = server_clock.ServerClock(self._read_later)

    @property
    def changes(self) -> int:
        """A number that is another one once this store, or another process that was heard of, has written
        anything."""
        return self._changes

    def note_change(self) -> None:
        """Give ``changes`` a number that it never had. Called by ``writing`` once it is committed, and by
        whoever hears that another process has written."""
        self._changes = next(self._numbers_of_changes)

    @abstractmethod
    def listening(self) -> AbstractContextManager[Listener]:
        """Hear what other processes store, until the end of the block."""

    def hear(self, text: str) -> News | None:
        """Take in what a process announced, and return it; None where that process was this one.

        :raises ValueError: it is news of another version
        """
        news = decode(text)
        if news is None:
            raise ValueError(text[:200])
        if news.sender == self._name:
            return None
        change = Change(
            first_ms=news.first_ms,
            counted=None,
            described=news.described,
            begins=news.begins,
            is_stored=True,
            is_own=False,
        )
        self._noted.hear(news.host, news.change, change)
        return news

    def is_own_change(self, host: int, number: int) -> bool:
        """Tell whether this process is known to have stored a change of a host."""
        return self._noted.is_own(host, number)

    @abstractmethod
    def writing(self) -> AbstractContextManager[Writer]:
        """Open a transaction that is committed at its end, and undone by an exception."""

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        """Write within what this thread has open, else in a transaction of its own."""
        open_writer: Writer | None = getattr(self._of_thread, "writer", None)
        if open_writer is not None:
            yield open_writer
            return
        with self.writing() as writer:
            self._of_thread.writer = writer
            try:
                yield writer
            finally:
                self._of_thread.writer = None

    def close(self) -> None:
        """Release every connection."""
        self.series.close()

    def check_schema(self) -> None:
        """Raise SchemaError unless the database is migrated to exactly this version."""
        with self.checking() as connection:
            check_revision(connection)
            check_whole(connection)
            self.series.check(connection)

    def prepare(self) -> None:
        """Make what a series in a database of its own needs. See ``StoredSeries.prepare``."""
        with self.writing() as writer:
            check_revision(writer.connection)
            self.series.prepare(writer.connection)

    def apply(self, batch: Batch, received_ns: int, token: str = "") -> bool:
        """Store a batch once and remember its number, in one transaction. See ``Store.apply``."""
        check_batch(batch)
        if self._clock.check(received_ns, batch.host.name, host_clock.witnessed_ns(batch)):
            with self.writing() as writer:
                server_clock.go_on(writer, received_ns)
        with self.series.opening() as number, self._noted.noting() as note, self._writing() as writer:
            named = hosts.named_first(writer.connection, batch.host, batch.stream)
            batch = replace(batch, host=named)
            host = hosts.lock_host(writer, batch.host, received_ns)
            stream_id = applied.stream_number(writer, batch.stream, host.id)
            if token:
                origins.remember_token(writer, stream_id, token)
            run = applied.remember(writer, stream_id, batch.sequence)
            if run is None:
                return False
            source = sources.source_of(writer, host.id, batch, received_ns)
            as_sent, newest_ns = batch, host_clock.newest_ns(batch)
            batch, shift_ns, moved = host_clock.set_right(
                as_sent, source, received_ns, is_recording=host.is_recording
            )
            sources.remember_source(writer.connection, source, as_sent, batch, shift_ns, moved, received_ns)
            offset_ns = None if newest_ns is None else newest_ns - received_ns
            hosts.describe_host(writer, host, batch, stream_id, received_ns, offset_ns)
            lost = losses.add_losses(writer, host.id, batch)
            host_events.add_events(writer, host.id, batch)
            covered = coverage.add_coverage(writer, source.id, stream_id, batch, run)
            if not host.is_recording:
                sources.notice(writer, host.id, source, batch, covered, shift_ns, received_ns)
            vm_numbers, described = vm_descriptions.describe_vms(
                writer, batch, host.id, stream_id, received_ns
            )
            countings.add_countings(writer, batch, vm_numbers)
            block = Block(
                number=number,
                batch=batch,
                host=host.id,
                vms=vm_numbers,
                lost=lost,
                lost_s=losses.bucket_of(batch, received_ns),
                first_position=host.applied * MAX_ROWS,
                is_recording=host.is_recording,
            )
            self.series.append(block)
            change = Change(
                first_ms=_first_changed_ms(batch, covered),
                counted=counted_of(batch, vm_numbers),
                described=described,
                begins=host.described_stream_id == hosts.NO_STREAM,
            )
            note(host.id, host.applied + 1, change)
            writer.announce(encode(news_of(self._name, host.id, host.applied + 1, change)))
        return True

    def host_changes(self) -> Mapping[int, HostChange]:
        """Return the newest change of every host, by the host's number."""
        with self.checking() as connection:
            return hosts.read_changes(connection)

    def newest_received_ns(self) -> int:
        """Return when a batch was received last, by the server's own clock; 0 where none is stored."""
        with self.checking() as connection:
            return server_clock.newest_received_ns(connection)

    def clock_problem(self, now_ns: int) -> str:
        """Return why the server's clock cannot be right, and what to do; empty where it can."""
        return self._clock.what_is_wrong(now_ns)

    def _read_later(self, time_ns: int) -> server_clock.Later:
        with self.checking() as connection:
            return server_clock.read_later(connection, time_ns)

    def forget_later(self, now_ns: int) -> int:
        """Have nothing be received later than now, and return how many times were."""
        with self.writing() as writer:
            return server_clock.forget_later(writer, now_ns)

    def add_token(self, token: Token) -> None:
        """Store a token's hash; one that is there stays as it is."""
        with self.writing() as writer:
            statement = writer.insert(tokens_table).values(
                sha256=token.sha256, kind=token.kind, host=token.host, created_ns=token.created_ns
            )
            writer.connection.execute(statement.on_conflict_do_nothing())

    def tokens(self) -> Sequence[Token]:
        """Return every token's hash."""
        with self._reading() as connection:
            return list(map(_as_token, connection.execute(_tokens)))

    def token(self, sha256: str) -> Token | None:
        """Return the token with this hash, None where there is none."""
        with self.checking() as connection:
            row = connection.execute(_token, {"hash": sha256}).one_or_none()
            return None if row is None else _as_token(row)

    def known_tokens(self, hashes: Sequence[str]) -> Mapping[str, Token]:
        """Return the tokens with these hashes, as far as there are any, by hash."""
        with self.checking() as connection:
            return {
                row.sha256: _as_token(row)
                for some in chunks(hashes)
                for row in connection.execute(_these_tokens, {"hashes": some})
            }

    def remove_token(self, sha256: str) -> None:
        """Forget the token with this hash, if it is there, and its sessions."""
        with self.writing() as writer:
            writer.connection.execute(delete(tokens_table).where(tokens_table.c.sha256 == sha256))
            refusals.forget_refusals(writer, sha256)
            sessions.remove_sessions_of(writer, sha256)

    def add_session(self, session: Session) -> None:
        """Store a session. Of very many, those that end first are forgotten."""
        with self.writing() as writer:
            sessions.add_session(writer, session)

    def session_token(self, sha256: str, after_ns: int, by_ns: int) -> Token | None:
        """Return the token of the session with this hash, None where it is not open or the token is gone."""
        with self.checking() as connection:
            return sessions.session_token(connection, sha256, after_ns, by_ns)

    def remove_session(self, sha256: str) -> None:
        """Forget the session with this hash, if it is there."""
        with self.writing() as writer:
            sessions.remove_session(writer, sha256)

    def remove_sessions_outside(self, after_ns: int, by_ns: int, claim: JobClaim) -> int:
        """Forget the sessions that end at another time, for a job, and return how many they were."""
        with self.writing() as writer:
            removed = sessions.remove_sessions_outside(writer, after_ns, by_ns)
            jobs.check_held(writer, claim)
        return removed

    def roll_up(self, now_s: int, claim: JobClaim) -> bool:
        """Sum counts up to coarser levels, for a job, and return whether there may be more to do."""
        # A transaction that writes nothing would tell those who keep answers that something has changed.
        with self.checking() as connection:
            if not rollup.is_due(connection, now_s):
                return False
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
                max_bytes=None if self.series.is_elsewhere else retention.max_bytes(connection),
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
        if self.series.is_elsewhere:
            raise RetentionError("the series lies elsewhere, and no bound of bytes holds there; set ages")
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
            if not removing.is_later(connection, wanted_s):
                return False
        with self.writing() as writer:
            is_noted = removing.note_kept(writer, wanted_s)
            jobs.check_held(writer, claim)
        return is_noted

    def note_bytes(self, claim: JobClaim) -> bool:
        """Note from when on one more thing is kept, for a job, where what is stored takes too many bytes."""
        if self.series.is_elsewhere:
            # What is removed there frees nothing here, and there whole days alone.
            return False
        with self.checking() as connection:
            most, now_s = retention.max_bytes(connection), retention.reached_s(connection)
            first_s = retention.first_s(connection)
            if most is None or now_s is None or first_s is None:
                return False
            used = self._bytes_of(connection).used
            # What was noted before frees some yet.
            if used <= most or not removing.is_all_removed(connection):
                return False
            kept_from_s = removing.read_kept_from(connection)
        following = next_to_remove({kept: kept_from_s.get(kept, first_s) for kept in Kept}, now_s)
        too_many = f"what is stored takes {used:,} bytes, and may take {most:,}"
        if following is None:
            raise RetentionError(f"{too_many}; all is removed that may be: set shorter ages, or more bytes")
        with self.writing() as writer:
            is_noted = removing.note_kept(writer, dict([following]))
            jobs.check_held(writer, claim)
        if not is_noted:
            raise RetentionError(f"{too_many}; what is to be removed next is yet to be summed up")
        return True

    def remove_older(self, within_s: float, claim: JobClaim) -> int:
        """Remove what is older than is kept, for a job and for a while. Return how many rows that were."""
        return self.series.remove_older(self.reading, self._writing_for(claim), within_s)

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

    @abstractmethod
    def shared_now_ns(self, own_ns: int) -> int:
        """Return the time by the one clock that all servers on this database share. See ``Store``."""

    def claim_job(self, claim: JobClaim) -> bool:
        """Take a job, unless another server has it or it was done less than its interval ago."""
        with self.writing() as writer:
            return jobs.claim_job(writer, claim)

    def finish_job(self, claim: JobClaim, ended_ns: int, error: str) -> None:
        """Give a job back and note how it went, unless another server has taken it over."""
        with self.writing() as writer:
            jobs.finish_job(writer, claim, ended_ns, error)

    def jobs(self) -> Sequence[JobState]:
        """Return every job that was ever begun, by name."""
        with self._reading() as connection:
            return jobs.read_jobs(connection)

    def remove_vm(self, vm_id: str) -> None:
        """Remove a VM and everything of it. :raises NotFoundError: there is none"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            host_id, name, _ = vm_queries.places_of(connection, [vm_id])[vm_id]
        removal.remove_vm(self.writing, self.series, number, arch, removal.Owner(host_id, name))

    def remove_host(self, name: str) -> None:
        """Remove a host and everything of it. :raises NotFoundError: there is no such host"""
        with self._reading() as connection:
            number = hosts.host_number(connection, name)
        removal.remove_host(self.writing, self.series, removal.Owner(number, name))

    def add_refusals(self, found: Sequence[Refusal]) -> None:
        """Add refusals to those of their token and reason."""
        with self.writing() as writer:
            refusals.add_refusals(writer, found)


def _as_token(row: Row[Any]) -> Token:
    return Token(row.sha256, row.kind, row.host, row.created_ns)


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


def _first_changed_ms(batch: Batch, covered: Sequence[Span]) -> int:
    """Return the time before which a batch leaves counts, records and coverage as they are."""
    buckets = (item.bucket_ms for item in chain(batch.fault_counts, batch.exit_counts))
    records = (item.time_ns // NS_PER_MS for item in chain(batch.faults, batch.exits))
    spans = (span.from_ns // NS_PER_MS for span in covered)
    return min(chain(buckets, records, spans), default=FOR_EVER_MS)
