"""The ledger of faults: what became of those that were seen, and how many of them are in no stored batch."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, select

from backend.store.contract.accounts import CountingTotal, LedgerPoint
from backend.store.contract.values import Steps
from backend.store.sql.ranges import chunks, in_buckets
from backend.store.sql.records import count_columns
from backend.store.sql.series.counts import step_of, sum_of
from backend.store.sql.tables import countings, ledger, vms
from backend.store.sql.writer import Writer, columns_of
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


def ledger_series(connection: Connection, vm_ids: Mapping[int, str], steps: Steps) -> Iterator[LedgerPoint]:
    """Yield what became of VMs' faults, in steps. ``vm_ids`` has the VMs' ids by number."""
    step = step_of(ledger.c.bucket_s, steps).label("step")
    for some in chunks(list(vm_ids)):
        statement = (
            select(step, ledger.c.vm_id, *(sum_of(ledger.c[name]).label(name) for name in _FIGURES))
            .where(ledger.c.vm_id.in_(some), *in_buckets(ledger.c.bucket_s, steps.span))
            .group_by("step", ledger.c.vm_id)
        )
        for row in connection.execute(statement):
            yield LedgerPoint(
                step_start_ms=steps.start_of(row.step),
                vm=vm_ids[row.vm_id],
                **{name: row._mapping[name] for name in _FIGURES},
            )


def counting_totals(connection: Connection, vm_ids: Mapping[int, str]) -> Iterator[CountingTotal]:
    """Yield what each counting has seen of VMs, ever. ``vm_ids`` has the VMs' ids by number.

    A counting that goes on while its host is renamed is one: what is stored of it under the other name is not
    missing here.
    """
    mine, everyone = vms.alias("mine"), vms.alias("everyone")
    own, of_all = countings.alias("own"), countings.alias("of_all")
    figures = [mine.c.id, own.c.counting, own.c.seen, own.c.seen_total]
    # A VM is one under both names, as its id and its kernel's boot say.
    same = (
        (everyone.c.reported_id == mine.c.reported_id)
        & (everyone.c.boot_id == mine.c.boot_id)
        & (everyone.c.arch == mine.c.arch)
    )
    for some in chunks(list(vm_ids)):
        statement = (
            select(
                mine.c.id,
                own.c.counting,
                own.c.seen,
                own.c.seen_total,
                sum_of(of_all.c.seen).label("everywhere"),
            )
            .join(own, own.c.vm_id == mine.c.id)
            .join(everyone, same)
            .join(of_all, (of_all.c.vm_id == everyone.c.id) & (of_all.c.counting == own.c.counting))
            .where(mine.c.id.in_(some))
            .group_by(*figures)
        )
        for row in connection.execute(statement):
            # What came under the other name after this one's newest batch is not in this one's total.
            stored = max(row.seen, min(row.everywhere, row.seen_total))
            yield CountingTotal(
                vm=vm_ids[row.id], counting=row.counting, stored=stored, seen_total=row.seen_total
            )
