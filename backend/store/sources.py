"""Sources: what counts on a host, told by the boot of its kernel and by its counting. Coverage is theirs.

A host's name alone does not tell which machine was traced: two may go by one name, and one by two. What two
sources did at once is noticed here, as findings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, or_, select, update
from sqlalchemy.engine import Row

from backend.store.tables import coverage, findings, hosts, sources
from backend.store.values import FindingCode
from backend.store.writer import Writer
from faultmodel.wire import Batch

_RECENT_NS = 3600 * 10**9
"""Sources that were not heard of for so long are over."""
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
            and_(_known.boot_id == bindparam("of_boot"), _known.last_ns >= bindparam("since_ns")),
        ),
        _known.id != bindparam("own"),
    )
)
_this_source = update(sources).where(_known.id == bindparam("number"))
_covers = select(
    exists().where(
        coverage.c.source_id == bindparam("of_source"),
        coverage.c.from_ns < bindparam("end_ns"),
        coverage.c.to_ns > bindparam("start_ns"),
    )
)


@dataclass(frozen=True, slots=True)
class Source:
    """A source as the batches before this one left it.

    ``last_ns``: when the server received the last of them. ``clock_shift_ns``: by how much its times were set
    back. ``told_to_ns``: the end of what it covered, as it told; ``covered_to_ns``: the end of all that is
    covered, as it is stored.
    """

    id: int
    is_new: bool
    last_ns: int
    clock_shift_ns: int
    told_to_ns: int | None
    covered_to_ns: int | None


def source_of(writer: Writer, host_id: int, batch: Batch, received_ns: int) -> Source:
    """Return the source of a locked host's batch, made if it is new."""
    asked = {"of_host": host_id, "of_boot": batch.host.boot_id, "of_counting": batch.counting}
    row = writer.connection.execute(_own, asked).one_or_none()
    is_new = row is None
    if row is None:
        new = {
            "host_id": host_id,
            "boot_id": batch.host.boot_id,
            "counting": batch.counting,
            "first_ns": received_ns,
            "last_ns": received_ns,
            "clock_shift_ns": 0,
        }
        writer.connection.execute(writer.insert(sources), new)
        row = writer.connection.execute(_own, asked).one()
    return Source(row.id, is_new, row.last_ns, row.clock_shift_ns, row.told_to_ns, row.covered_to_ns)


def remember_source(
    connection: Connection, source: Source, told: Batch, stored: Batch, shift_ns: int, received_ns: int
) -> None:
    """Keep what the next batch of a source is compared with.

    :param told: the batch as it came; ``stored`` with its times as they are stored
    """
    values: dict[str, Any] = {
        "last_ns": max(source.last_ns, received_ns),
        "clock_shift_ns": shift_ns,
    }
    if stored.covered:
        values["told_to_ns"] = max(span.to_ns for span in told.covered)
        values["covered_to_ns"] = max(source.covered_to_ns or 0, *(span.to_ns for span in stored.covered))
    connection.execute(_this_source, values | {"number": source.id})


def notice(writer: Writer, host_id: int, source: Source, batch: Batch, received_ns: int) -> None:
    """Find out whether another source counts what this one counts, or goes by its name."""
    asked = {
        "of_host": host_id,
        "of_boot": batch.host.boot_id,
        "own": source.id,
        "since_ns": received_ns - _RECENT_NS,
    }
    for other in writer.connection.execute(_others, asked).all():
        for code, subject in _found(writer.connection, host_id, source, batch, other):
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


def _found(
    connection: Connection, host_id: int, source: Source, batch: Batch, other: Row[Any]
) -> Iterator[tuple[FindingCode, str]]:
    if other.is_recording:
        return
    if other.host_id != host_id and source.is_new:
        yield FindingCode.RENAMED, str(other.host_id)
    # A collector that takes another's place, or a machine that boots anew, speaks when the other has ended;
    # batches that waited come in order. Only two that go on at once take turns.
    takes_turns = not source.is_new and other.last_ns > source.last_ns
    if not takes_turns or not _covers_some(connection, other.id, batch):
        return
    if other.host_id != host_id:
        yield FindingCode.TWO_NAMES, str(other.host_id)
    elif other.boot_id != batch.host.boot_id:
        yield FindingCode.TWO_MACHINES, "/".join(sorted((other.boot_id, batch.host.boot_id)))
    else:
        yield FindingCode.COUNTED_TWICE, "/".join(sorted((other.counting, batch.counting)))


def _covers_some(connection: Connection, source_id: int, batch: Batch) -> bool:
    spans = [span for span in batch.covered if span.from_ns < span.to_ns]
    if not spans:
        return False
    asked = {
        "of_source": source_id,
        "start_ns": min(span.from_ns for span in spans),
        "end_ns": max(span.to_ns for span in spans),
    }
    return bool(connection.scalar(_covers, asked))


def doubled_countings(connection: Connection, host_ids: Sequence[int]) -> frozenset[tuple[int, str]]:
    """Return (host's number, counting) of those of which another counted the same at the same time."""
    rows = connection.execute(
        select(findings.c.host_id, findings.c.subject).where(
            findings.c.code == FindingCode.COUNTED_TWICE.value, findings.c.host_id.in_(list(host_ids))
        )
    )
    return frozenset((row.host_id, name) for row in rows for name in row.subject.split("/"))
