# SPDX-License-Identifier: Apache-2.0
"""What rates are of and what makes a series of its own: counts of the store, by the key of their series."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache

from backend.query.breakdown import FAULT_CONTEXT
from backend.store.contract.store import Store
from backend.store.contract.time_limit import check_time, in_time
from backend.store.contract.values import ExitPoint, FaultPoint, Split, Steps
from faultmodel import arch
from faultmodel.record import Access, ExitKind


class Metric(StrEnum):
    """What is counted."""

    FAULTS = "faults"
    MEMORY_FAULT_EXITS = "memory_fault_exits"
    BARE_ERROR_EXITS = "bare_error_exits"
    UNCLASSIFIED_ERROR_EXITS = "unclassified_error_exits"


class By(StrEnum):
    """What makes a series of its own."""

    VM = "vm"
    GUEST = "guest"
    VCPU = "vcpu"
    FLAG = "flag"
    ACCESS = "access"
    LEVEL = "level"
    ARCH = "arch"


EXIT_KINDS = {
    Metric.MEMORY_FAULT_EXITS: ExitKind.MEMORY_FAULT,
    Metric.BARE_ERROR_EXITS: ExitKind.BARE_ERROR,
    Metric.UNCLASSIFIED_ERROR_EXITS: ExitKind.UNCLASSIFIED_ERROR,
}
SUMMED: Mapping[Metric, ExitKind | None] = {Metric.FAULTS: None, **EXIT_KINDS}
"""As what every VM has sums of by blocks of time (``blocks.Key``)."""
EXIT_BY = (By.VM, By.GUEST, By.VCPU, By.ARCH)
_LEVELS = {"mapped_4k": "4k", "mapped_2m": "2m", "mapped_1g": "1g"}
NO_LEVEL = "none"

_SPLITS = {
    By.VM: Split(vm=True),
    By.GUEST: Split(vm=True),
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
    NO_LEVEL: "not mapped, or level not shown",
}


def keyed(
    store: Store,
    vm_ids: Sequence[str] | None,
    metric: Metric,
    by: By,
    grid: Steps,
    guest_of: Mapping[str, str],
) -> Iterator[tuple[int, str, int]]:
    """Yield counts as (start of the step, key of the series, count); no order, keys come again.

    :param guest_of: by VM, where the series are by guest
    """
    kind = EXIT_KINDS.get(metric)
    if kind is not None:
        exits = store.exit_points(vm_ids, kind, grid)
        for exit_point in in_time(exits):
            yield exit_point.step_start_ms, _owner(exit_point, by, guest_of), exit_point.count
        return
    keys = _FAULT_KEYS.get(by)
    points = store.fault_points(vm_ids, grid, split=_SPLITS[by], counters=_COUNTERS.get(by, _FAULTS))
    for point in in_time(points):
        if keys is None:
            yield point.step_start_ms, _owner(point, by, guest_of), point.counters["faults"]
        else:
            for key, count in keys(point):
                yield point.step_start_ms, key, count


def _owner(point: FaultPoint | ExitPoint, by: By, guest_of: Mapping[str, str]) -> str:
    match by:
        case By.VM:
            return str(point.vm)
        case By.GUEST:
            return guest_of[str(point.vm)]
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
    # A fault may be mapped in a later second than it began in: there fewer are left than none, which only the
    # sum with the second before makes right. So nothing is cut off here.
    yield NO_LEVEL, left


_FAULT_KEYS: Mapping[By, Callable[[FaultPoint], Iterable[tuple[str, int]]]] = {
    By.ACCESS: _by_access,
    By.FLAG: _by_flag,
    By.LEVEL: _by_level,
}


# A guest's faults have a few dozen different words, which come again in every step. Where there are many, to
# decode them takes longer than to read them: so the time is looked at here, too.
@lru_cache(maxsize=4096)
def _access(arch_name: str, format_name: str | None, word: int | None) -> Access:
    check_time()
    if format_name is None or word is None:
        return Access.UNKNOWN
    return arch.get(arch_name).format_named(format_name).access(word)


@lru_cache(maxsize=4096)
def _flag_names(arch_name: str, format_name: str | None, word: int | None) -> Sequence[str]:
    check_time()
    if format_name is None or word is None:
        return ()
    return tuple(flag.name for flag in arch.get(arch_name).format_named(format_name).flags(word))


def label_of(key: str, by: By) -> str:
    """Return what a series is called."""
    match by:
        case By.VCPU:
            return f"vCPU {key.partition('/')[2]}"
        case By.LEVEL:
            return _LEVEL_LABELS[key]
        case _:
            return key
