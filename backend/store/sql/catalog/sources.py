# SPDX-License-Identifier: Apache-2.0
"""Sources: what counts on a host, known by the boot of its kernel and its counting. Coverage is theirs.

A host's name alone does not show which machine was traced: two may go by one name, and one by two. What two
sources did at once is noticed here, as findings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update
from sqlalchemy.engine import Row

from backend.errors import NotNowError
from backend.store.contract.hosts import FindingCode
from backend.store.sql.tables import coverage, findings, hosts, sources
from backend.store.sql.writer import Writer
from faultmodel.kinds import TimesOf
from faultmodel.problem import ProblemCode
from faultmodel.record import Span
from faultmodel.wire import Batch

_RECENT_NS = 3600 * 10**9
"""Of two boots, one that was not heard of for so long is over."""
_STEP_NS = 5 * 10**9
"""By so much two countings may seem to overlap that followed one another: a clock may step in between."""
_AROUND_NS = 600 * 10**9
"""What two countings cover is compared so far before and after what is new."""
_MOST_SPANS = 100
"""Of what is compared; a source that is read without a break has one."""
MOST_OTHERS = 50
"""That a batch is compared with, while others may wait to write: those that were heard of last."""
MOST_SOURCES = 500
"""Recent ones of a host. A collector that fails at once and starts anew has one every ten seconds."""
MOST_FINDINGS = 200
"""Of one code about a host: more say nothing new."""
_known = sources.c
_own = select(sources).where(
    _known.host_id == bindparam("of_host"),
    _known.boot_id == bindparam("of_boot"),
    _known.counting == bindparam("of_counting"),
)
_others = (
    select(sources, hosts.c.is_recording)
    .join(hosts, hosts.c.id == _known.host_id)
    .where(
        or_(
            and_(_known.host_id == bindparam("of_host"), _known.last_ns >= bindparam("since_ns")),
            _known.boot_id == bindparam("of_boot"),
        ),
        _known.id != bindparam("own"),
    )
    .order_by(_known.last_ns.desc(), _known.id)
    .limit(MOST_OTHERS)
)
_number_of_recent = (
    select(func.count())
    .select_from(sources)
    .where(_known.host_id == bindparam("of_host"), _known.last_ns >= bindparam("since_ns"))
)
_findings_of_code = (
    select(findings.c.subject)
    .where(findings.c.host_id == bindparam("of_host"), findings.c.code == bindparam("of_code"))
    .limit(MOST_FINDINGS)
)
_this_source = update(sources).where(_known.id == bindparam("number"))
# As a source's spans are apart from one another, only the last that starts before a time can reach beyond it.
_of_source = coverage.c.source_id == bindparam("of_source")
_reaching = (
    select(func.max(coverage.c.from_ns))
    .where(_of_source, coverage.c.from_ns <= bindparam("start_ns"))
    .scalar_subquery()
)
_spans = (
    select(coverage.c.from_ns, coverage.c.to_ns)
    .where(
        _of_source,
        coverage.c.from_ns >= func.coalesce(_reaching, bindparam("start_ns")),
        coverage.c.from_ns < bindparam("end_ns"),
    )
    .order_by(coverage.c.from_ns.desc())
    .limit(_MOST_SPANS)
)


@dataclass(frozen=True, slots=True)
class Source:
    """A source as the batches before this one left it.

    ``last_ns``: when the server received the last of them. ``clock_shift_ns``: by how much its times were set
    back. ``reported_to_ns``: the end of what it covered, as sent; ``covered_to_ns``: the end of all that is
    covered, as it is stored. ``moved``: what had times that cannot be, though the clock was right.
    """

    id: int
    is_new: bool
    last_ns: int
    clock_shift_ns: int
    reported_to_ns: int | None
    covered_to_ns: int | None
    moved: frozenset[TimesOf]


def source_of(writer: Writer, host_id: int, batch: Batch, received_ns: int) -> Source:
    """Return the source of a locked host's batch, made if it is new.

    :raises NotNowError: the host has had too many within an hour
    """
    asked = {"of_host": host_id, "of_boot": batch.host.boot_id, "of_counting": batch.counting}
    row = writer.connection.execute(_own, asked).one_or_none()
    is_new = row is None
    if row is None:
        recent = {"of_host": host_id, "since_ns": received_ns - _RECENT_NS}
        if (writer.connection.scalar(_number_of_recent, recent) or 0) >= MOST_SOURCES:
            raise NotNowError(
                ProblemCode.QUOTA,
                f"{MOST_SOURCES} collectors or boots of host {batch.host.name} have counted within an hour",
            )
        new = {
            "host_id": host_id,
            "boot_id": batch.host.boot_id,
            "counting": batch.counting,
            "first_ns": received_ns,
            "last_ns": received_ns,
            "clock_shift_ns": 0,
            "moved": "",
        }
        writer.connection.execute(writer.insert(sources), new)
        row = writer.connection.execute(_own, asked).one()
    return Source(
        id=row.id,
        is_new=is_new,
        last_ns=row.last_ns,
        clock_shift_ns=row.clock_shift_ns,
        reported_to_ns=row.reported_to_ns,
        covered_to_ns=row.covered_to_ns,
        moved=frozenset(map(TimesOf, filter(None, row.moved.split(",")))),
    )


def remember_source(
    connection: Connection,
    source: Source,
    as_sent: Batch,
    stored: Batch,
    shift_ns: int,
    moved: frozenset[TimesOf],
    received_ns: int,
) -> None:
    """Keep what the next batch of a source is compared with.

    :param as_sent: the batch as it came; ``stored`` with its times as they are stored
    """
    values: dict[str, Any] = {
        "last_ns": max(source.last_ns, received_ns),
        "clock_shift_ns": shift_ns,
        "moved": ",".join(sorted(moved)),
    }
    if stored.covered:
        values["reported_to_ns"] = max(span.to_ns for span in as_sent.covered)
        values["covered_to_ns"] = max(source.covered_to_ns or 0, *(span.to_ns for span in stored.covered))
    connection.execute(_this_source, values | {"number": source.id})


def notice(
    writer: Writer,
    host_id: int,
    source: Source,
    batch: Batch,
    covered: Sequence[Span],
    shift_ns: int,
    received_ns: int,
) -> None:
    """Find out whether another source counts what this one counts, or goes by its name.

    :param covered: what is covered since this batch, as it is stored
    :param shift_ns: by how much its times were set back
    """
    asked = {
        "of_host": host_id,
        "of_boot": batch.host.boot_id,
        "own": source.id,
        "since_ns": received_ns - _RECENT_NS,
    }
    for other in writer.connection.execute(_others, asked).all():
        if other.is_recording:
            continue
        if other.host_id != host_id and source.is_new:
            _add(writer, host_id, FindingCode.RENAMED, str(other.host_id), received_ns)
        of_one_boot = other.boot_id == batch.host.boot_id
        are_at_once = _count_at_once if of_one_boot else _take_turns
        if not are_at_once(writer.connection, source, other, covered, shift_ns):
            continue
        if other.host_id != host_id:
            _add(writer, host_id, FindingCode.TWO_NAMES, str(other.host_id), received_ns)
        elif of_one_boot:
            countings = "/".join(sorted((other.counting, batch.counting)))
            _add(writer, host_id, FindingCode.COUNTED_TWICE, countings, received_ns)
        else:
            boots = "/".join(sorted((other.boot_id, batch.host.boot_id)))
            _add(writer, host_id, FindingCode.TWO_MACHINES, boots, received_ns)


def _add(writer: Writer, host_id: int, code: FindingCode, subject: str, received_ns: int) -> None:
    asked = {"of_host": host_id, "of_code": code.value}
    known = writer.connection.scalars(_findings_of_code, asked).all()
    if len(known) >= MOST_FINDINGS and subject not in known:
        return
    row = {
        "host_id": host_id,
        "code": code.value,
        "subject": subject,
        "first_ns": received_ns,
        "last_ns": received_ns,
    }
    statement = writer.insert(findings).values(row)
    writer.connection.execute(
        statement.on_conflict_do_update(
            index_elements=["host_id", "code", "subject"], set_={"last_ns": received_ns}
        )
    )


def _take_turns(
    connection: Connection, source: Source, other: Row[Any], covered: Sequence[Span], _shift_ns: int
) -> bool:
    """Return whether two go on at once.

    A machine that boots anew speaks when it has ended before, though its clock may have been ahead till then;
    batches that waited come in order. Only two that go on at once take turns.
    """
    if source.is_new or other.last_ns <= source.last_ns:
        return False
    return _overlap_ns(covered, _read_spans(connection, other.id, covered, 0)) > 0


def _count_at_once(
    connection: Connection, source: Source, other: Row[Any], covered: Sequence[Span], shift_ns: int
) -> bool:
    """Return whether two countings of one boot counted the same seconds, whichever was stored first.

    One that takes another's place begins when the other has ended, or seems to overlap by what a clock
    stepped in between. Times that were set right are no evidence.
    """
    theirs = _read_spans(connection, other.id, covered, 0)
    if not _overlap_ns(covered, theirs):
        return False
    if not source.is_new and other.last_ns > source.last_ns:
        return True
    if shift_ns or other.clock_shift_ns:
        return False
    own = _read_spans(connection, source.id, covered, _AROUND_NS)
    theirs = _read_spans(connection, other.id, covered, _AROUND_NS)
    # Times in the future show by how much its clock was ahead.
    ahead_ns: int = max(0, (other.covered_to_ns or 0) - other.last_ns)
    return _overlap_ns(own, theirs) > _STEP_NS + ahead_ns


def _read_spans(
    connection: Connection, source_id: int, covered: Sequence[Span], around_ns: int
) -> Sequence[Span]:
    """Return what is stored of a source from so long before ``covered`` to so long after it, newest first."""
    if not covered:
        return []
    asked = {
        "of_source": source_id,
        "start_ns": min(span.from_ns for span in covered) - around_ns,
        "end_ns": max(span.to_ns for span in covered) + around_ns,
    }
    return [Span(row.from_ns, row.to_ns) for row in connection.execute(_spans, asked)]


def _overlap_ns(some: Sequence[Span], others: Sequence[Span]) -> int:
    """Return how much time spans have in common with others. Each are apart from one another."""
    return sum(
        max(0, min(one.to_ns, other.to_ns) - max(one.from_ns, other.from_ns))
        for one in some
        for other in others
    )


def doubled_countings(connection: Connection, host_ids: Sequence[int]) -> frozenset[tuple[int, str]]:
    """Return (host's number, counting) of those of which another counted the same at the same time."""
    rows = connection.execute(
        select(findings.c.host_id, findings.c.subject).where(
            findings.c.code == FindingCode.COUNTED_TWICE.value, findings.c.host_id.in_(list(host_ids))
        )
    )
    return frozenset((row.host_id, name) for row in rows for name in row.subject.split("/"))
