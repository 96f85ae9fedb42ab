# SPDX-License-Identifier: Apache-2.0
"""What each counting has seen of VMs, ever, and how much of that is in stored batches."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, select

from backend.store.contract.accounts import CountingTotal
from backend.store.sql.among import among
from backend.store.sql.catalog.vm_queries import storable
from backend.store.sql.ranges import chunks
from backend.store.sql.sums import sum_of
from backend.store.sql.tables import countings, vms
from backend.store.sql.writer import Writer, columns_of
from faultmodel.wire import Batch

_mine, _everyone = vms.alias("mine"), vms.alias("everyone")
_own, _of_all = countings.alias("own"), countings.alias("of_all")
# A VM is one under both names, as its id and its kernel's boot say.
_same = (
    (_everyone.c.reported_id == _mine.c.reported_id)
    & (_everyone.c.boot_id == _mine.c.boot_id)
    & (_everyone.c.arch == _mine.c.arch)
)
_figures = (_mine.c.id, _own.c.counting, _own.c.seen, _own.c.seen_total)
# Built once: to build a statement takes longer than to execute it.
_totals = (
    select(*_figures, sum_of(_of_all.c.seen).label("everywhere"))
    .join(_own, _own.c.vm_id == _mine.c.id)
    .join(_everyone, _same)
    .join(_of_all, (_of_all.c.vm_id == _everyone.c.id) & (_of_all.c.counting == _own.c.counting))
    .where(among(_mine.c.id, "numbers"))
    .group_by(*_figures)
)
_unequal = (
    select(vms.c.id, vms.c.public_id)
    .join(countings, countings.c.vm_id == vms.c.id)
    .where(among(vms.c.public_id, "ids"), countings.c.seen != countings.c.seen_total)
)


def add_countings(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    """Add what a batch's counting has seen."""
    totals = [(vm_numbers[item.vm], batch.counting, item.seen, item.seen_total) for item in batch.ledger]
    if totals:
        writer.add(countings, columns_of(totals))


def vms_of_unequal(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, str]:
    """Return those VMs, by number, of which a counting has brought another number than it has seen."""
    found: dict[int, str] = {}
    for some in chunks(storable(vm_ids)):
        rows = connection.execute(_unequal, {"ids": some})
        found.update((number, vm_id) for number, vm_id in rows)
    return found


def counting_totals(connection: Connection, vm_ids: Mapping[int, str]) -> Iterator[CountingTotal]:
    """Yield what each counting has seen of VMs, ever. ``vm_ids`` has the VMs' ids by number.

    A counting that goes on while its host is renamed is one: what is stored of it under the other name is not
    missing here.
    """
    for some in chunks(list(vm_ids)):
        for row in connection.execute(_totals, {"numbers": some}):
            # What came under the other name after this one's newest batch is not in this one's total.
            stored = max(row.seen, min(row.everywhere, row.seen_total))
            yield CountingTotal(
                vm=vm_ids[row.id], counting=row.counting, stored=stored, seen_total=row.seen_total
            )
