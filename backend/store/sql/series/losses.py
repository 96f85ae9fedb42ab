"""What hosts lost: things that were seen and could not be kept."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, select

from backend.store.contract.accounts import LossPoint
from backend.store.contract.bounds import MAX_LOSSES
from backend.store.contract.values import Steps
from backend.store.sql.ranges import NS_PER_MS, chunks, in_buckets
from backend.store.sql.series.counts import step_of
from backend.store.sql.sums import safe_sum_of
from backend.store.sql.tables import loss_totals, losses
from backend.store.sql.writer import Writer, columns_of
from faultmodel.record import BUCKET_MS, Loss
from faultmodel.wire import Batch

OTHER = "other"
"""Kind of losses of kinds that are one too many for a host: each is a line of every answer about it."""
_BUCKET_NS = BUCKET_MS * NS_PER_MS


def add_losses(writer: Writer, host_id: int, batch: Batch, received_ns: int) -> None:
    """Add what was lost, in the last bucket that the batch covers, else in the one in which it came."""
    # Covered time ends before ``to_ns``: at a full second, that is the bucket before.
    at_ns = max((span.to_ns - 1 for span in batch.covered if span.to_ns), default=received_ns)
    lost = [loss for loss in batch.lost if loss.count]
    if not lost:
        return
    lost = _known_kinds(writer.connection, host_id, lost)
    writer.add(losses, columns_of((host_id, loss.kind, at_ns // _BUCKET_NS, loss.count) for loss in lost))
    # The sum of all of them is asked for every second; how they lie in time is not.
    writer.add(loss_totals, columns_of((host_id, loss.kind, loss.count) for loss in lost))


def _known_kinds(connection: Connection, host_id: int, lost: Sequence[Loss]) -> list[Loss]:
    """Return the losses, those of a new kind as ``OTHER`` where the host has had as many kinds as it may."""
    of_host = select(loss_totals.c.kind).where(loss_totals.c.host_id == host_id)
    known = set(connection.scalars(of_host))
    kinds = dict.fromkeys(loss.kind for loss in lost if loss.kind not in known)
    allowed = {*known, *list(kinds)[: max(0, MAX_LOSSES - len(known))]}
    return [loss if loss.kind in allowed else Loss(OTHER, loss.count) for loss in lost]


def loss_series(connection: Connection, hosts: Mapping[int, str], steps: Steps) -> Iterator[LossPoint]:
    """Yield what hosts lost, in steps. ``hosts`` has their names by number."""
    step = step_of(losses.c.bucket_s, steps).label("step")
    keys = [losses.c.host_id, losses.c.kind]
    for some in chunks(list(hosts)):
        statement = (
            select(step, *keys, safe_sum_of(losses.c["count"]))
            .where(losses.c.host_id.in_(some), *in_buckets(losses.c.bucket_s, steps.span))
            .group_by("step", *keys)
        )
        for number, host_id, kind, count in connection.execute(statement):
            yield LossPoint(steps.start_of(number), hosts[host_id], kind, count)
