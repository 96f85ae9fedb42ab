"""The ledger of faults: what became of those that were seen, and how many of them are in no stored batch."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, select

from backend.store.accounts import CountingTotal, LedgerPoint
from backend.store.counts import step_of, sum_of
from backend.store.ranges import chunks, in_buckets
from backend.store.records import count_columns
from backend.store.tables import countings, ledger
from backend.store.values import TimeRange
from backend.store.writer import Writer, columns_of
from faultmodel.wire import Batch

_FIGURES = ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped")


def add_ledger(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    """Add a batch's ledger. :raises BatchError: a count or a bucket is impossible"""
    if not batch.ledger:
        return
    # A quiet VM's entry says only how much was seen before.
    entries = [entry for entry in batch.ledger if entry.seen]
    if entries:
        writer.add(ledger, count_columns(ledger, entries, vm_numbers))
    totals = [(vm_numbers[item.vm], batch.counting, item.seen, item.seen_total) for item in batch.ledger]
    writer.add(countings, columns_of(totals))


def ledger_series(
    connection: Connection, vm_ids: Mapping[int, str], from_ms: int, to_ms: int, step_ms: int
) -> Iterator[LedgerPoint]:
    """Yield what became of VMs' faults, in steps. ``vm_ids`` has the VMs' ids by number."""
    step = step_of(ledger.c.bucket_s, from_ms, step_ms).label("step")
    for some in chunks(list(vm_ids)):
        statement = (
            select(step, ledger.c.vm_id, *(sum_of(ledger.c[name]).label(name) for name in _FIGURES))
            .where(ledger.c.vm_id.in_(some), *in_buckets(ledger.c.bucket_s, TimeRange(from_ms, to_ms)))
            .group_by("step", ledger.c.vm_id)
        )
        for row in connection.execute(statement):
            yield LedgerPoint(
                step_start_ms=from_ms + row.step * step_ms,
                vm=vm_ids[row.vm_id],
                **{name: row._mapping[name] for name in _FIGURES},
            )


def counting_totals(connection: Connection, vm_ids: Mapping[int, str]) -> Iterator[CountingTotal]:
    """Yield what each counting has seen of VMs, ever. ``vm_ids`` has the VMs' ids by number."""
    known = countings.c
    for some in chunks(list(vm_ids)):
        statement = select(known.vm_id, known.counting, known.seen, known.seen_total)
        for vm_number, counting, stored, seen_total in connection.execute(
            statement.where(known.vm_id.in_(some))
        ):
            yield CountingTotal(vm=vm_ids[vm_number], counting=counting, stored=stored, seen_total=seen_total)
