# SPDX-License-Identifier: Apache-2.0
"""What each counting has seen of VMs, ever, and how much of that is in stored batches."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, select

from backend.store.contract.accounts import CountingTotal
from backend.store.sql.catalog.vm_queries import storable
from backend.store.sql.ranges import chunks
from backend.store.sql.sums import sum_of
from backend.store.sql.tables import countings, vms
from backend.store.sql.writer import Writer, columns_of
from faultmodel.wire import Batch


def add_countings(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    """Add what a batch's counting has seen."""
    totals = [(vm_numbers[item.vm], batch.counting, item.seen, item.seen_total) for item in batch.ledger]
    if totals:
        writer.add(countings, columns_of(totals))


def vms_of_unequal(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, str]:
    """Return those VMs, by number, of which a counting has brought another number than it has seen."""
    found: dict[int, str] = {}
    for some in chunks(storable(vm_ids)):
        statement = (
            select(vms.c.id, vms.c.public_id)
            .join(countings, countings.c.vm_id == vms.c.id)
            .where(vms.c.public_id.in_(some), countings.c.seen != countings.c.seen_total)
        )
        found.update((number, vm_id) for number, vm_id in connection.execute(statement))
    return found


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
