# SPDX-License-Identifier: Apache-2.0
"""Which server is at which job, and how the last run of each went."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from backend.errors import LostJobError
from backend.store.contract.jobs import JobClaim, JobState
from backend.store.sql.once import rows_once
from backend.store.sql.tables import jobs
from backend.store.sql.writer import Writer

_FREE = ""
_EARLY = 0.1
"""Of an interval: so much earlier a job may begin, since those who wait for it do so by another clock."""
_in_order = select(jobs).order_by(jobs.c.name)


def claim_job(writer: Writer, claim: JobClaim) -> bool:
    """Take a job, unless it is held or was done less than its interval ago. Return whether it was taken.

    A run that failed, or whose server died, was none. A time that lies further ahead than a run may take is
    of a clock that was wrong: it holds nobody up.
    """
    now_ns, ahead_ns = claim.began_ns, claim.began_ns + claim.within_ns
    held = and_(
        jobs.c.holder.not_in((_FREE, claim.holder)),
        jobs.c.held_until_ns > now_ns,
        jobs.c.held_until_ns <= ahead_ns + claim.within_ns,
    )
    recent = and_(
        jobs.c.holder == _FREE,
        jobs.c.error == "",
        jobs.c.began_ns > now_ns - int(claim.every_ns * (1 - _EARLY)),
        jobs.c.began_ns <= ahead_ns,
    )
    taken = {"holder": claim.holder, "began_ns": now_ns, "held_until_ns": ahead_ns}
    statement = writer.insert(jobs).values(name=claim.name, error="", **taken)
    statement = statement.on_conflict_do_update(index_elements=["name"], set_=taken, where=~or_(held, recent))
    return writer.connection.scalar(statement.returning(jobs.c.name)) is not None


def check_held(writer: Writer, claim: JobClaim) -> None:
    """Check that nobody took a job over, at the end of a transaction that writes for it.

    The row stays locked until the transaction's end, so that nobody does meanwhile. At its beginning that
    would keep others from taking over from a server that hangs in the transaction.

    :raises LostJobError: somebody did
    """
    if writer.connection.scalar(select(jobs.c.name).where(_is_held_by(claim)).with_for_update()) is None:
        raise LostJobError(f"job {claim.name} took too long, and was taken over")


def finish_job(writer: Writer, claim: JobClaim, ended_ns: int, error: str) -> None:
    """Give a job back and note how the run went, unless another server has taken it over."""
    writer.connection.execute(
        update(jobs)
        .where(_is_held_by(claim))
        .values(
            holder=_FREE,
            ended_ns=ended_ns,
            took_ns=max(0, ended_ns - claim.began_ns),
            error=error.replace("\0", ""),
        )
    )


def read_jobs(connection: Connection) -> Sequence[JobState]:
    """Return every job that was ever begun, by name."""
    return [
        JobState(
            name=row.name,
            held_until_ns=None if row.holder == _FREE else row.held_until_ns,
            ended_ns=row.ended_ns,
            took_ns=row.took_ns,
            error=row.error,
        )
        for row in rows_once(connection, _in_order)
    ]


def _is_held_by(claim: JobClaim) -> ColumnElement[bool]:
    return and_(jobs.c.name == claim.name, jobs.c.holder == claim.holder, jobs.c.began_ns == claim.began_ns)
