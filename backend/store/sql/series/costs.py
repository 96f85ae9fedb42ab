"""What tracing cost on hosts: a row for each second, of which spans begin in it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Double, bindparam, cast, func, select

from backend.store.contract.accounts import CostPoint
from backend.store.contract.values import Steps
from backend.store.sql.ranges import NS_PER_MS, bounded, chunks
from backend.store.sql.sums import safe_sum_of
from backend.store.sql.tables import collector_costs
from backend.store.sql.writer import Row, Writer, columns_of
from faultmodel.record import BUCKET_MS, Cost
from faultmodel.wire import Batch

_BUCKET_NS = BUCKET_MS * NS_PER_MS
_costs = collector_costs.c
# Faults are known by the second: of one that was measured in part, as many as its share of the time.
_measured_seen = cast(_costs.seen, Double) * _costs.measured_ns / _costs.wall_ns
# Built once: to build a statement takes longer than to execute it.
_series = (
    select(
        ((_costs.bucket_s * BUCKET_MS - bindparam("from_ms")) // bindparam("step_ms")).label("step"),
        _costs.host_id,
        safe_sum_of(_costs.wall_ns).label("wall_ns"),
        safe_sum_of(_costs.cpu_ns).label("cpu_ns"),
        func.max(_costs.resident_bytes).label("resident_bytes"),
        safe_sum_of(_costs.measured_ns).label("measured_ns"),
        safe_sum_of(_costs.program_ns).label("program_ns"),
        safe_sum_of(_costs.program_runs).label("program_runs"),
        func.sum(_measured_seen).label("measured_seen"),
    )
    .where(
        _costs.host_id.in_(bindparam("of_hosts", expanding=True)),
        _costs.wall_ns > 0,
        _costs.bucket_s >= bindparam("from_s"),
        _costs.bucket_s < bindparam("to_s"),
    )
    .group_by("step", _costs.host_id)
)


def add_costs(writer: Writer, host_id: int, batch: Batch) -> None:
    """Add what a batch says of costs, and the faults that they were for.

    A large reading comes in several batches, of which one has the costs and each its part of the faults.
    """
    seen: dict[int, int] = defaultdict(int)
    for entry in batch.ledger:
        seen[entry.bucket_ms // BUCKET_MS] += entry.seen
    rows = [_row(host_id, cost) for cost in batch.costs]
    rows += [(host_id, bucket_s, 0, 0, 0, 0, 0, 0, count) for bucket_s, count in seen.items() if count]
    if rows:
        writer.add(collector_costs, columns_of(rows))


def cost_series(connection: Connection, hosts: Mapping[int, str], steps: Steps) -> Iterator[CostPoint]:
    """Yield what tracing cost, in steps. ``hosts`` has the hosts' names by number."""
    span = {
        "from_ms": bounded(steps.from_ms),
        "step_ms": steps.step_ms,
        "from_s": bounded(-(-steps.from_ms // BUCKET_MS)),
        "to_s": bounded(-(-steps.to_ms // BUCKET_MS)),
    }
    for some in chunks(list(hosts)):
        for row in connection.execute(_series, span | {"of_hosts": some}):
            figures = dict(row._mapping)
            number, host_id = figures.pop("step"), figures.pop("host_id")
            yield CostPoint(step_start_ms=steps.start_of(number), host=hosts[host_id], **figures)


def _row(host_id: int, cost: Cost) -> Row:
    wall_ns = cost.to_ns - cost.from_ns
    is_measured = cost.program_ns is not None and cost.program_runs is not None
    return (
        host_id,
        cost.from_ns // _BUCKET_NS,
        wall_ns,
        cost.cpu_ns,
        wall_ns if is_measured else 0,
        (cost.program_ns or 0) if is_measured else 0,
        (cost.program_runs or 0) if is_measured else 0,
        cost.resident_bytes,
        0,
    )
