# SPDX-License-Identifier: Apache-2.0
"""What hosts lost, ever: things that were seen and could not be kept. How that lies in time is a series."""

from collections.abc import Sequence

from backend.store.sql.tables import loss_totals
from backend.store.sql.writer import Writer, columns_of
from faultmodel.record import BUCKET_MS, Loss
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

_BUCKET_NS = BUCKET_MS * NS_PER_MS


def add_losses(writer: Writer, host_id: int, batch: Batch) -> Sequence[Loss]:
    """Add what was lost to the sums of its kinds, which are asked for every second, and return it so."""
    lost = [loss for loss in batch.lost if loss.count]
    if lost:
        writer.add(loss_totals, columns_of((host_id, loss.kind, loss.count) for loss in lost))
    return lost


def bucket_of(batch: Batch, received_ns: int) -> int:
    """Return the second in which a batch lost something: the last that it covers, else in which it came."""
    # Covered time ends before ``to_ns``: at a full second, that is the bucket before.
    return max((span.to_ns - 1 for span in batch.covered if span.to_ns), default=received_ns) // _BUCKET_NS
