"""Rates over time: counts per second of covered time, on a grid, as one series per VM, flag, access, ..."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from backend.errors import ParameterError
from backend.query.breakdown import FAULT_CONTEXT
from backend.query.grid import Grid, covered_ms
from backend.store.base import Store
from backend.store.values import CoveredSpan, ExitPoint, FaultPoint, Split, TimeRange
from faultmodel import arch
from faultmodel.record import Access, ExitKind

MAX_VALUES = 2_000_000
"""Points of all series together."""
_MS_PER_S = 1_000


class Metric(StrEnum):
    """What is counted."""

    FAULTS = "faults"
    MEMORY_FAULT_EXITS = "memory_fault_exits"
    BARE_ERROR_EXITS = "bare_error_exits"
    UNTOLD_ERROR_EXITS = "untold_error_exits"


class By(StrEnum):
    """What makes a series of its own."""

    VM = "vm"
    VCPU = "vcpu"
    FLAG = "flag"
    ACCESS = "access"
    LEVEL = "level"
    ARCH = "arch"


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the chart.

    ``values``: per second of covered time in each step; None where no time of the step was covered.
    ``total``: the exact count over the grid.
    """

    key: str
    label: str
    total: int
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Others:
    """Series that are no lines of their own, added up. ``count``: how many; the rest as ``Series`` has it."""

    count: int
    total: int
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Rates:
    """Series on one grid, and the covered spans of the hosts that they come from."""

    grid: Grid
    series: Sequence[Series]
    others: Others | None
    coverage: Sequence[CoveredSpan]


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts by key and start of the step, and the VM of each key that has one VM alone."""

    by_key: Mapping[str, Mapping[int, int]]
    vm_of: Mapping[str, str]


_EXIT_KINDS = {
    Metric.MEMORY_FAULT_EXITS: ExitKind.MEMORY_FAULT,
    Metric.BARE_ERROR_EXITS: ExitKind.BARE_ERROR,
    Metric.UNTOLD_ERROR_EXITS: ExitKind.UNTOLD_ERROR,
}
_EXIT_BY = (By.VM, By.VCPU, By.ARCH)
_LEVELS = {"mapped_4k": "4k", "mapped_2m": "2m", "mapped_1g": "1g"}
_NO_LEVEL = "none"

_SPLITS = {
    By.VM: Split(vm=True),
    By.VCPU: Split(vm=True, vcpu=True),
    By.FLAG: Split(word=True),
    By.ACCESS: Split(word=True),
    By.LEVEL: Split(),
    By.ARCH: Split(),
}
_FAULTS = ("faults",)
_COUNTERS = {By.FLAG: ("faults", *FAULT_CONTEXT), By.LEVEL: ("faults", *_LEVELS)}

_LEVEL_LABELS = {
    "4k": "4 KiB",
    "2m": "2 MiB",
    "1g": "1 GiB",
    _NO_LEVEL: "not mapped, or level not shown",
}


def rates(
    store: Store, vm_ids: Sequence[str] | None, metric: Metric, by: By, grid: Grid, *, most: int
) -> Rates:
    """Return the rates of these VMs, or of every VM.

    Of more series than ``most``, those with the greatest totals are given, and the others added up. A series
    that has no count in a covered step is 0 there. The covered time of a series of one VM is that of the VM's
    host, of another series that of any of the VMs' hosts.

    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the metric has no such series, or the answer would be too large
    """
    if metric in _EXIT_KINDS and by not in _EXIT_BY:
        known = ", ".join(_EXIT_BY)
        raise ParameterError("by", f"{metric} has no series by {by}; it has {known}")
    # Counts and coverage of one moment: a second that is covered and not yet counted would look quiet.
    with store.snapshot():
        host_of = store.host_of(vm_ids or ())
        counts = _read(store, vm_ids, metric, by, grid)
        if vm_ids is None:
            host_of = store.host_of(sorted(set(counts.vm_of.values())))
        hosts = None if vm_ids is None else sorted(set(host_of.values()))
        coverage = store.coverage(hosts, TimeRange(grid.from_ms, grid.to_ms))
    ranked = sorted(counts.by_key, key=lambda key: (-sum(counts.by_key[key].values()), key))
    shown, others = ranked[:most], ranked[most:]
    if len(shown) * len(grid.starts_ms) > MAX_VALUES:
        raise ParameterError(
            "step",
            f"{len(shown)} series of {len(grid.starts_ms)} points; ask for fewer, or for longer steps",
        )
    series = _series(counts, shown, host_of, coverage, grid, by)
    return Rates(grid, series, _others(counts, others, coverage, grid), coverage)


def _read(store: Store, vm_ids: Sequence[str] | None, metric: Metric, by: By, grid: Grid) -> _Counts:
    by_key: dict[str, dict[int, int]] = {}
    vm_of: dict[str, str] = {}
    if by is By.VM and vm_ids is not None:
        # A VM that was asked for is shown, if only to say that it was quiet.
        by_key = {vm_id: {} for vm_id in vm_ids}
        vm_of = {vm_id: vm_id for vm_id in vm_ids}
    for point, key, count in _keyed(store, vm_ids, metric, by, grid):
        if count:
            steps = by_key.setdefault(key, {})
            steps[point.step_start_ms] = steps.get(point.step_start_ms, 0) + count
            if by in (By.VM, By.VCPU) and point.vm is not None:
                vm_of[key] = point.vm
    return _Counts(by_key, vm_of)


def _keyed(
    store: Store, vm_ids: Sequence[str] | None, metric: Metric, by: By, grid: Grid
) -> Iterator[tuple[FaultPoint | ExitPoint, str, int]]:
    kind = _EXIT_KINDS.get(metric)
    if kind is not None:
        for exit_point in store.exit_points(vm_ids, kind, grid.from_ms, grid.to_ms, grid.step_ms):
            yield exit_point, _owner(exit_point, by), exit_point.count
        return
    keys = _FAULT_KEYS.get(by)
    points = store.fault_points(
        vm_ids, grid.from_ms, grid.to_ms, grid.step_ms, split=_SPLITS[by], counters=_COUNTERS.get(by, _FAULTS)
    )
    for point in points:
        if keys is None:
            yield point, _owner(point, by), point.counters["faults"]
        else:
            for key, count in keys(point):
                yield point, key, count


def _owner(point: FaultPoint | ExitPoint, by: By) -> str:
    match by:
        case By.VM:
            return str(point.vm)
        case By.VCPU:
            return f"{point.vm}/{point.vcpu}"
        case _:
            return point.arch


def _by_access(point: FaultPoint) -> Iterable[tuple[str, int]]:
    yield _access(point.arch, point.format, point.word), point.counters["faults"]


def _by_flag(point: FaultPoint) -> Iterable[tuple[str, int]]:
    for name in _flag_names(point.arch, point.format, point.word):
        yield name, point.counters["faults"]
    for name in FAULT_CONTEXT:
        yield name, point.counters[name]


def _by_level(point: FaultPoint) -> Iterable[tuple[str, int]]:
    left = point.counters["faults"]
    for counter, level in _LEVELS.items():
        left -= point.counters[counter]
        yield level, point.counters[counter]
    yield _NO_LEVEL, max(0, left)


_FAULT_KEYS: Mapping[By, Callable[[FaultPoint], Iterable[tuple[str, int]]]] = {
    By.ACCESS: _by_access,
    By.FLAG: _by_flag,
    By.LEVEL: _by_level,
}


# A guest's faults have a few dozen different words, which come again in every step.
@lru_cache(maxsize=65_536)
def _access(arch_name: str, format_name: str | None, word: int | None) -> Access:
    if format_name is None or word is None:
        return Access.UNKNOWN
    return arch.get(arch_name).format_named(format_name).access(word)


@lru_cache(maxsize=65_536)
def _flag_names(arch_name: str, format_name: str | None, word: int | None) -> Sequence[str]:
    if format_name is None or word is None:
        return ()
    return tuple(flag.name for flag in arch.get(arch_name).format_named(format_name).flags(word))


def _others(
    counts: _Counts, keys: Sequence[str], coverage: Sequence[CoveredSpan], grid: Grid
) -> Others | None:
    if not keys:
        return None
    steps: Counter[int] = Counter()
    for key in keys:
        steps.update(counts.by_key[key])
    return Others(len(keys), steps.total(), _per_second(grid, steps, covered_ms(grid, coverage)))


def _series(
    counts: _Counts,
    keys: Sequence[str],
    host_of: Mapping[str, str],
    coverage: Sequence[CoveredSpan],
    grid: Grid,
    by: By,
) -> Sequence[Series]:
    by_host: dict[str, list[CoveredSpan]] = defaultdict(list)
    for span in coverage:
        by_host[span.host].append(span)
    covered_of_host = {host: covered_ms(grid, spans) for host, spans in by_host.items()}
    never = [0] * len(grid.starts_ms)
    anywhere = covered_ms(grid, coverage)
    series = []
    for key in keys:
        steps = counts.by_key[key]
        vm_id = counts.vm_of.get(key)
        covered = anywhere if vm_id is None else covered_of_host.get(host_of[vm_id], never)
        series.append(Series(key, _label(key, by), sum(steps.values()), _per_second(grid, steps, covered)))
    return series


def _per_second(grid: Grid, steps: Mapping[int, int], covered: Sequence[int]) -> Sequence[float | None]:
    return [
        steps.get(start, 0) * _MS_PER_S / time_ms if time_ms else None
        for start, time_ms in zip(grid.starts_ms, covered, strict=True)
    ]


def _label(key: str, by: By) -> str:
    match by:
        case By.VCPU:
            return f"vCPU {key.partition('/')[2]}"
        case By.LEVEL:
            return _LEVEL_LABELS[key]
        case _:
            return key
