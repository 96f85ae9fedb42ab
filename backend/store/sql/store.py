# SPDX-License-Identifier: Apache-2.0
"""The Store over any SQL database: which transaction each method runs in, and which statements.

A database's own file opens the transactions and brings the Writer; everything else is the same for all.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import chain, count
from secrets import token_hex
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Row

from backend.store.contract.access import Refusal, Session, Token
from backend.store.contract.changes import FOR_EVER_MS, Change, counted_of
from backend.store.contract.check import check_batch
from backend.store.contract.jobs import JobClaim, JobState
from backend.store.contract.news import HostChange, Listener, News, decode, encode, news_of
from backend.store.contract.record_requests import OpenRequest, RecordRequest
from backend.store.contract.series import Block
from backend.store.sql import removal
from backend.store.sql.alerts import SqlAlerts
from backend.store.sql.arrival_reads import ArrivalReads
from backend.store.sql.catalog import (
    applied,
    countings,
    coverage,
    host_clock,
    host_events,
    hosts,
    jobs,
    livelocks,
    looks,
    losses,
    origins,
    outstanding,
    record_requests,
    refusals,
    server_clock,
    sessions,
    sources,
    state_changes,
    vm_descriptions,
    vm_queries,
)
from backend.store.sql.catalog.known_vcpus import KnownVcpus
from backend.store.sql.history import HistoryJobs
from backend.store.sql.host_reads import HostReads
from backend.store.sql.livelock_reads import LivelockReads
from backend.store.sql.look_reads import LookReads
from backend.store.sql.outstanding_reads import OutstandingReads
from backend.store.sql.ranges import chunks
from backend.store.sql.revision import check_revision, check_whole
from backend.store.sql.series import rollup
from backend.store.sql.series.series import SqlSeries
from backend.store.sql.series.stored import NewSeries, Transactions
from backend.store.sql.stall_reads import StallReads
from backend.store.sql.tables import tokens as tokens_table
from backend.store.sql.vm_reads import VmReads
from backend.store.sql.writer import Writer
from faultmodel.record import Span
from faultmodel.rows import column
from faultmodel.sections import MAX_ROWS, Time, timed
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

# Built once: it is executed for every batch.
_tokens = select(tokens_table).order_by(tokens_table.c.sha256)
_token = select(tokens_table).where(tokens_table.c.sha256 == bindparam("hash"))
_these_tokens = select(tokens_table).where(tokens_table.c.sha256.in_(bindparam("hashes", expanding=True)))


class SqlStore(
    VmReads,
    StallReads,
    LookReads,
    LivelockReads,
    OutstandingReads,
    SqlAlerts,
    HostReads,
    ArrivalReads,
    HistoryJobs,
):
    """A Store. Thread-safe as far as ``reading``, ``checking`` and ``writing`` are."""

    def __init__(self, new_series: NewSeries = SqlSeries) -> None:
        super().__init__()
        self._numbers_of_changes = count(1)
        self._changes = 0
        self._name = token_hex(8)
        """By which this process knows its own news."""
        self.series = new_series(Transactions(self._reading, self.checking, self._writing))
        self._rollup = rollup.Rollup(self.series.sum_up, pace=self.series.pace)
        self._clock = server_clock.ServerClock(self._read_later)
        self._vcpus = KnownVcpus()

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

    @contextmanager
    def _writing_ahead(self) -> Iterator[Writer]:
        with self._writing() as writer, writer.sending_ahead():
            yield writer

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
        with self.checking() as connection:
            check_revision(connection)
        self.series.prepare()

    def apply(self, batch: Batch, received_ns: int, token: str = "") -> bool:
        """Store a batch once and remember its number, in one transaction. See ``Store.apply``."""
        check_batch(batch)
        if self._clock.check(received_ns, batch.host.name, host_clock.witnessed_ns(batch)):
            with self.writing() as writer:
                server_clock.go_on(writer, received_ns)
        with self.series.opening() as number, self._noted.noting() as note, self._writing_ahead() as writer:
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
            described = vm_descriptions.describe_vms(
                writer, batch, host.id, stream_id, received_ns, self._vcpus
            )
            countings.add_countings(writer, batch, described.numbers)
            looks.add_looks(writer, batch, described.numbers)
            changes = [
                *livelocks.add_livelocks(writer, batch.livelocks, described.numbers),
                *outstanding.add_outstanding(writer, batch, host.id, described.numbers),
            ]
            state_changes.add_changes(writer, changes, received_ns)
            record_requests.add_answers(
                writer, batch.record_answers, host.id, stream_id, batch.sequence, received_ns
            )
            block = Block(
                number=number,
                batch=batch,
                host=host.id,
                vms=described.numbers,
                lost=lost,
                lost_s=losses.bucket_of(batch, received_ns),
                first_position=host.applied * MAX_ROWS,
                is_recording=host.is_recording,
            )
            self.series.append(block)
            change = Change(
                first_ms=_first_changed_ms(batch, covered),
                counted=counted_of(batch, described.numbers),
                described=described.anew,
                begins=host.described_stream_id == hosts.NO_STREAM,
            )
            note(host.id, host.applied + 1, change)
            writer.announce(encode(news_of(self._name, host.id, host.applied + 1, change)))
        self._vcpus.add(described.added)
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

    def session_tokens(self, hashes: Sequence[str], after_ns: int, by_ns: int) -> Mapping[str, Token]:
        """Return the tokens of the sessions with these hashes, by hash, as far as they are open."""
        with self.checking() as connection:
            return sessions.session_tokens(connection, hashes, after_ns, by_ns)

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

    def add_record_request(self, vm_id: str, request: str, seconds: int, token: str, now_ns: int) -> None:
        """Add a request for a VM, and forget old ones. See ``RecordRequests``."""
        with self.writing() as writer:
            record_requests.add_request(writer, vm_id, request, seconds, token, now_ns)

    def withdraw_record_request(self, vm_id: str, request: str, now_ns: int) -> None:
        """Withdraw a request. :raises NotFoundError: the VM has no such request"""
        with self.writing() as writer:
            record_requests.withdraw_request(writer, vm_id, request, now_ns)

    def record_requests(self, vm_id: str) -> Sequence[RecordRequest]:
        """Return the requests for a VM, newest first. :raises NotFoundError: there is no such VM"""
        with self.snapshot() as connection:
            return record_requests.read_requests(connection, vm_id)

    def open_record_requests(self, now_ns: int) -> Mapping[str, Sequence[OpenRequest]]:
        """Return what each host is asked for, by the name that its collector gives."""
        with self.checking() as connection:
            return record_requests.read_open(connection, now_ns)

    def add_refusals(self, found: Sequence[Refusal]) -> None:
        """Add refusals to those of their token and reason."""
        with self.writing() as writer:
            refusals.add_refusals(writer, found)


def _as_token(row: Row[Any]) -> Token:
    return Token(row.sha256, row.kind, row.host, row.created_ns)


def _first_changed_ms(batch: Batch, covered: Sequence[Span]) -> int:
    """Return the time before which a batch leaves counts, accounts, records and coverage as they are."""
    buckets_ms = chain.from_iterable(
        column(section.rows(batch), "bucket_ms") for section in timed(Time.SECOND)
    )
    records_ns = chain.from_iterable(column(section.rows(batch), "time_ns") for section in timed(Time.MOMENT))
    others_ns = chain((cost.from_ns for cost in batch.costs), (span.from_ns for span in covered))
    first_ns = min(chain(records_ns, others_ns), default=FOR_EVER_MS * NS_PER_MS)
    return min(first_ns // NS_PER_MS, min(buckets_ms, default=FOR_EVER_MS))
