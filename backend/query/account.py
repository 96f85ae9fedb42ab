"""The ledger over time: what became of VMs' faults and hosts' batches, on a grid."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backend.errors import ParameterError
from backend.query.grid import Grid, covered_ms
from backend.query.rates import MAX_VALUES
from backend.store.accounts import BatchAccount, CountingTotal, LedgerPoint, LossPoint
from backend.store.base import Store
from backend.store.values import CoveredSpan, TimeRange

FIGURES = ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped")
"""Of what became of a VM's faults."""


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over the grid. A step of which no time was covered, and nothing came, is None."""

    total: int
    values: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class VmAccount:
    """What became of one VM's guest faults.

    ``missing``: faults of the VM's whole life that were seen and are in no stored batch.
    ``is_balanced``: every step's figures add up, and no more faults are stored than were seen.
    """

    vm: str
    host: str
    figures: Mapping[str, Line]
    missing: int
    is_balanced: bool


@dataclass(frozen=True, slots=True)
class HostAccount:
    """What a host lost by kind, what became of its batches (ever), and how long it was covered."""

    host: str
    covered_ms: Sequence[int]
    lost: Mapping[str, Line]
    batches: BatchAccount


@dataclass(frozen=True, slots=True)
class Account:
    """The accounts of VMs and of their hosts on one grid."""

    grid: Grid
    vms: Sequence[VmAccount]
    hosts: Sequence[HostAccount]


def account(
    store: Store, vm_ids: Sequence[str] | None, host: str | None, grid: Grid, *, with_vms: bool = True
) -> Account:
    """Return the accounts of these VMs, else of every VM (of the host) that existed in the grid's range.

    The hosts are those of the VMs that were asked for, else the host, else every host.

    :param with_vms: False for the accounts of the hosts alone, where no VMs are asked for
    :raises NotFoundError: a VM or the host is unknown
    :raises ParameterError: a VM is not of the host, or the answer would be too large
    """
    with store.snapshot():
        span = TimeRange(grid.from_ms, grid.to_ms)
        everyone = store.vms_of(host, span) if vm_ids is None and with_vms else {}
        owners = everyone if vm_ids is None else store.host_of(vm_ids)
        _check_owners(owners, host)
        if len(owners) * len(FIGURES) * len(grid.starts_ms) > MAX_VALUES:
            raise ParameterError(
                "step",
                f"{len(owners)} VMs and {len(grid.starts_ms)} points; ask for longer steps, or name VMs",
            )
        points = store.ledger_points(list(owners), grid.from_ms, grid.to_ms, grid.step_ms)
        countings = store.counting_totals(list(owners))
        names = _hosts(vm_ids, owners, host)
        coverage = store.coverage(names, span)
        batches = store.batch_accounts(names)
        losses = store.losses(names, grid.from_ms, grid.to_ms, grid.step_ms)
    covered = _covered(grid, [item.host for item in batches], coverage)
    return Account(
        grid,
        _vm_accounts(grid, owners, points, countings, covered),
        _host_accounts(grid, batches, losses, covered),
    )


def _hosts(vm_ids: Sequence[str] | None, owners: Mapping[str, str], host: str | None) -> Sequence[str] | None:
    if vm_ids is not None:
        return sorted(set(owners.values()))
    return None if host is None else [host]


def _check_owners(owners: Mapping[str, str], host: str | None) -> None:
    for vm_id, owner in owners.items():
        if host is not None and owner != host:
            raise ParameterError("vm", f"VM {vm_id} is of host {owner!r}, not of {host!r}")


def _covered(
    grid: Grid, hosts: Iterable[str], coverage: Sequence[CoveredSpan]
) -> Mapping[str, Sequence[int]]:
    spans: dict[str, list[CoveredSpan]] = defaultdict(list)
    for span in coverage:
        spans[span.host].append(span)
    return {host: covered_ms(grid, spans[host]) for host in hosts}


def _vm_accounts(
    grid: Grid,
    owners: Mapping[str, str],
    points: Sequence[LedgerPoint],
    countings: Sequence[CountingTotal],
    covered: Mapping[str, Sequence[int]],
) -> Sequence[VmAccount]:
    points_of: dict[str, list[LedgerPoint]] = defaultdict(list)
    for point in points:
        points_of[point.vm].append(point)
    countings_of: dict[str, list[CountingTotal]] = defaultdict(list)
    for counting in countings:
        countings_of[counting.vm].append(counting)
    found = [
        _vm_account(grid, vm_id, host, points_of[vm_id], countings_of[vm_id], covered[host])
        for vm_id, host in owners.items()
    ]
    return sorted(found, key=lambda item: (-item.figures["seen"].total, item.vm))


def _vm_account(
    grid: Grid,
    vm_id: str,
    host: str,
    points: Sequence[LedgerPoint],
    countings: Sequence[CountingTotal],
    covered: Sequence[int],
) -> VmAccount:
    figures = {
        name: _line(grid, {point.step_start_ms: getattr(point, name) for point in points}, covered)
        for name in FIGURES
    }
    return VmAccount(
        vm=vm_id,
        host=host,
        figures=figures,
        missing=sum(max(0, item.seen_total - item.stored) for item in countings),
        is_balanced=all(_balances(point) for point in points)
        and all(item.stored <= item.seen_total for item in countings),
    )


def _host_accounts(
    grid: Grid,
    batches: Sequence[BatchAccount],
    losses: Sequence[LossPoint],
    covered: Mapping[str, Sequence[int]],
) -> Sequence[HostAccount]:
    lost: dict[str, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for loss in losses:
        lost[loss.host][loss.kind][loss.step_start_ms] = loss.count
    return [
        HostAccount(
            item.host,
            covered[item.host],
            {kind: _line(grid, steps, covered[item.host]) for kind, steps in sorted(lost[item.host].items())},
            item,
        )
        for item in batches
    ]


def _balances(point: LedgerPoint) -> bool:
    recorded = point.recorded + point.sampled_out + point.dropped
    return point.seen == point.counted + point.uncounted == recorded


def _line(grid: Grid, steps: Mapping[int, int], covered: Sequence[int]) -> Line:
    values = [
        steps.get(start, 0 if time_ms else None)
        for start, time_ms in zip(grid.starts_ms, covered, strict=True)
    ]
    return Line(sum(steps.values()), values)
