# SPDX-License-Identifier: Apache-2.0
"""The ledger over time: what became of VMs' faults and hosts' batches, on a grid."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from backend.errors import ParameterError
from backend.query.account_balance import Findings, add_up, findings_of_vms, is_settled, missing
from backend.query.account_line import Line, line, vm_line
from backend.query.findings import Code, Found, find
from backend.query.globs import resolved
from backend.query.grid import MAX_VALUES, covered_ms, kept_of
from backend.query.other_accounts import Everyone, OtherAccounts, most_seen, other_accounts
from backend.query.sources import Sources
from backend.query.uncovered import Uncovered, uncovered_of
from backend.query.vm_totals import FIGURES, vm_totals
from backend.store.contract.accounts import BatchAccount, CountingTotal, FoldedVms, LedgerPoint, LossPoint
from backend.store.contract.hosts import LISTED_RECORDINGS, AsOf, CoveredSpan
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmCoverage
from faultmodel.kinds import LossKind
from faultmodel.units import NS_PER_MS

MAX_HOST_VALUES = 3_000_000
"""Of hosts' lines together: a thousand hosts have four lines each, mostly of noughts."""


@dataclass(frozen=True, slots=True)
class VmAccount:
    """What became of one VM's guest faults.

    ``missing``: faults of the VM's whole life that were seen and are in no stored batch.
    ``is_balanced``: every step's figures add up, no more faults are stored than were seen, and none of the
    ``findings``, of it or its host, leaves it open.
    """

    vm: str
    host: str
    figures: Mapping[str, Line]
    missing: int
    is_balanced: bool
    findings: Sequence[Code]


@dataclass(frozen=True, slots=True)
class HostAccount:
    """What a host lost by kind, what became of its batches (ever), and how long it was covered.

    ``folded``: its VMs that are not known one by one any more; None where there are none.

    ``is_balanced``: every batch that is known of is stored, and nothing that was found leaves it open.
    """

    host: str
    covered_ms: Sequence[int]
    lost: Mapping[LossKind, Line]
    batches: BatchAccount
    folded: FoldedVms | None
    is_balanced: bool
    findings: Sequence[Code]


@dataclass(frozen=True, slots=True)
class Account:
    """The accounts of VMs and of their hosts on one grid.

    ``kept_from_ms``: where the grid begins before counts are kept in such steps, from when on they are.
    """

    grid: Steps
    kept_from_ms: int | None
    vms: Sequence[VmAccount]
    others: OtherAccounts | None
    hosts: Sequence[HostAccount]
    recordings_left_out: int
    uncovered: Sequence[Uncovered]
    as_of: AsOf


def account(
    sources: Sources,
    vm_ids: Sequence[str] | None,
    wanted: Sequence[str] | None,
    grid: Steps,
    now_ns: int,
    *,
    with_vms: bool = True,
    most: int | None = None,
) -> Account:
    """Return the accounts of these VMs, else of every VM (of these hosts) that existed in the grid's range.

    The hosts are those of the VMs that were asked for, else the wanted, else every host: also one that is
    expected, since there is a token for it, and of which nothing ever came. Of recordings it is then those
    that were heard of last.

    :param wanted: names of hosts, or globs; None for every one
    :param most: where no VMs are asked for, so many have an account of their own: those of which most was
        seen; as many as there is room for where None
    :param with_vms: False for the accounts of the hosts alone, where no VMs are asked for
    :raises NotFoundError: a VM or host is unknown
    :raises ParameterError: a VM is not of the wanted hosts, or the answer would be too large
    """
    store = sources.store

    def read(some: Sequence[str], steps: Steps) -> Iterator[tuple[str, int, LedgerPoint]]:
        return ((point.vm, point.step_start_ms, point) for point in store.ledger_points(some, steps))

    with store.snapshot():
        # Whose VMs run at once changes nothing about what was counted of each.
        found = [item for item in find(store, now_ns) if item.code is not Code.DUPLICATE_GUEST]
        absent = {name for item in found if item.code is Code.NEVER_DELIVERED for name in item.hosts}
        if wanted is not None:
            meant = resolved(wanted, sorted({*store.host_names(), *absent}))
            absent.intersection_update(meant)
            wanted = [name for name in meant if name not in absent]
        span = grid.span
        levels = store.kept_levels(wanted, vm_ids or ())
        counted = levels.kept_steps(grid)
        totals = vm_totals(sources, counted, levels, now_ns // NS_PER_MS)
        everyone = None
        if vm_ids is not None:
            owners = store.host_of(vm_ids)
        else:
            everyone = Everyone(store, wanted, counted.span) if with_vms else None
            owners = {} if everyone is None else most_seen(totals, everyone, counted, most)
        _check_owners(owners, wanted)
        if len(owners) * len(FIGURES) * len(grid.starts_ms) > MAX_VALUES:
            raise ParameterError(
                "step",
                f"{len(owners)} VMs and {len(grid.starts_ms)} points; ask for longer steps, or name VMs",
            )
        points_of = sources.ledger.get(list(owners), counted, store.version(), read)
        countings = store.counting_totals(list(owners))
        known = store.known_hosts(recordings=LISTED_RECORDINGS)
        names = _hosts(vm_ids, owners, wanted)
        is_everyone, names = names is None, known.listed if names is None else names
        coverage = store.coverage(names, span)
        batches = store.batch_accounts(names)
        folded = {item.host: item for item in store.folded_vms(names)}
        losses = store.losses(names, counted)
        _check_room(grid, names, losses)
        coverage_of_vms = store.vm_coverage(list(owners), span)
        of_hosts = _by_host(found)
        findings = findings_of_vms(store, owners, of_hosts)
        others = None if everyone is None else other_accounts(store, totals, everyone, owners, of_hosts)
        as_of = store.as_of(None if is_everyone else names)
        uncovered = uncovered_of(store, vm_ids, wanted, span, now_ns // NS_PER_MS, coverage_of_vms)
    covered = _covered(grid, [item.host for item in batches], coverage)
    hosts = list(_host_accounts(grid, counted, batches, folded, losses, covered, of_hosts))
    if vm_ids is None:
        hosts = sorted([*hosts, *(_absent_account(grid, name) for name in absent)], key=attrgetter("host"))
    accounts = _vm_accounts(grid, counted, owners, points_of, countings, coverage_of_vms, findings)
    kept_from_ms = None if counted == grid else levels.begins_ms(grid)
    left_out = known.left_out if is_everyone else 0
    return Account(grid, kept_from_ms, accounts, others, hosts, left_out, uncovered, as_of)


def _check_room(grid: Steps, hosts: Sequence[str], losses: Sequence[LossPoint]) -> None:
    lines = len(hosts) + len({(point.host, point.kind) for point in losses})
    if lines * len(grid.starts_ms) > MAX_HOST_VALUES:
        raise ParameterError(
            "step",
            f"{lines} lines of hosts and {len(grid.starts_ms)} points; ask for longer steps, or one host",
        )


def _by_host(found: Sequence[Found]) -> Findings:
    by_host: dict[str, list[Found]] = defaultdict(list)
    for item in found:
        for name in item.hosts:
            by_host[name].append(item)
    return by_host


def _absent_account(grid: Steps, host: str) -> HostAccount:
    nothing = BatchAccount(host=host, shipped=0, stored=0, dropped=0)
    return HostAccount(host, [0] * len(grid.starts_ms), {}, nothing, None, False, [Code.NEVER_DELIVERED])


def _codes(found: Sequence[Found]) -> Sequence[Code]:
    return sorted({item.code for item in found})


def _hosts(
    vm_ids: Sequence[str] | None, owners: Mapping[str, str], wanted: Sequence[str] | None
) -> Sequence[str] | None:
    return wanted if vm_ids is None else sorted(set(owners.values()))


def _check_owners(owners: Mapping[str, str], wanted: Sequence[str] | None) -> None:
    for vm_id, owner in owners.items():
        if wanted is not None and owner not in wanted:
            raise ParameterError("vm", f"VM {vm_id} is of host {owner!r}, which `host` leaves out")


def _covered(
    grid: Steps, hosts: Iterable[str], coverage: Sequence[CoveredSpan]
) -> Mapping[str, Sequence[int]]:
    spans: dict[str, list[CoveredSpan]] = defaultdict(list)
    for span in coverage:
        spans[span.host].append(span)
    return {host: covered_ms(grid, spans[host]) for host in hosts}


def _vm_accounts(
    grid: Steps,
    counted: Steps,
    owners: Mapping[str, str],
    points_of: Mapping[str, Mapping[int, LedgerPoint]],
    countings: Sequence[CountingTotal],
    of_vms: VmCoverage,
    found: Findings,
) -> Sequence[VmAccount]:
    covered = {
        place: covered_ms(grid, kept_of(spans, counted.from_ms)) for place, spans in of_vms.spans.items()
    }
    countings_of: dict[str, list[CountingTotal]] = defaultdict(list)
    for counting in countings:
        countings_of[counting.vm].append(counting)
    accounts = [
        _vm_account(
            grid,
            vm_id,
            host,
            list(points_of[vm_id].values()),
            countings_of[vm_id],
            covered[of_vms.place_of[vm_id]],
            found[vm_id],
        )
        for vm_id, host in owners.items()
    ]
    return sorted(accounts, key=lambda item: (-item.figures["seen"].total, item.vm))


def _vm_account(
    grid: Steps,
    vm_id: str,
    host: str,
    points: Sequence[LedgerPoint],
    countings: Sequence[CountingTotal],
    covered: Sequence[int],
    found: Sequence[Found],
) -> VmAccount:
    quiet = [0 if time_ms else None for time_ms in covered]
    places = [(point.step_start_ms - grid.from_ms) // grid.step_ms for point in points]
    columns = {name: list(map(attrgetter(name), points)) for name in FIGURES}
    return VmAccount(
        vm=vm_id,
        host=host,
        figures=_lines(quiet, places, columns),
        missing=missing(countings),
        is_balanced=add_up(columns) and is_settled(countings, found),
        findings=_codes(found),
    )


def _lines(
    quiet: Sequence[int | None], places: Sequence[int], columns: Mapping[str, list[int]]
) -> Mapping[str, Line]:
    lines: dict[str, Line] = {}
    for name, column in columns.items():
        # Of most VMs all that was seen was counted and sampled out, and the other figures are 0.
        like = next((known for known in lines if columns[known] == column), None)
        lines[name] = vm_line(quiet, places, column) if like is None else lines[like]
    return lines


def _host_accounts(
    grid: Steps,
    counted: Steps,
    batches: Sequence[BatchAccount],
    folded: Mapping[str, FoldedVms],
    losses: Sequence[LossPoint],
    covered: Mapping[str, Sequence[int]],
    found: Findings,
) -> Sequence[HostAccount]:
    lost: dict[str, dict[LossKind, dict[int, int]]] = defaultdict(lambda: defaultdict(Counter))
    for loss in losses:
        lost[loss.host][loss.kind][loss.step_start_ms] += loss.count
    older = (counted.from_ms - grid.from_ms) // grid.step_ms

    def kept(host: str) -> Sequence[int]:
        return [0] * older + list(covered[host][older:])

    return [
        HostAccount(
            item.host,
            covered[item.host],
            {kind: line(grid, steps, kept(item.host)) for kind, steps in sorted(lost[item.host].items())},
            item,
            folded.get(item.host),
            item.stored == item.shipped
            and not item.dropped
            and not any(one.leaves_open for one in found.get(item.host, ())),
            _codes(found.get(item.host, ())),
        )
        for item in batches
    ]
