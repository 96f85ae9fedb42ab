"""Compares what the API shows with what the guests did."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.soak.clock import Span
from tests.soak.guests import Life
from tests.soak.stage import Stage

_HOUR_MS = 3_600_000
_EDGE_MS = 400
"""A reading close to the full second ends with it (100 ms), and the clock's jumps are known to a reading."""
_IDLE_SHARE = 0.05
_COLUMNS = ("faults", "read", "write", "execute", "memory_fault_exits", "bare_error_exits", "exit_records")
Figures = Counter[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was compared, a line each, and what differs."""

    lines: tuple[str, ...]
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*self.lines, *(f"DIFFERS: {difference}" for difference in self.differences)))


def judge(stage: Stage, lives: Sequence[Life], ended_ms: int) -> Verdict:
    """Return the verdict of a run that has settled.

    :param ended_ms: when the last guest had ended, by the machine's clock
    """
    lines, differences = ["        pid " + "".join(f"{name:>19}" for name in _COLUMNS)], []
    for life in lives:
        did, shown = _did(life), _shown(stage, life.told.pid)
        lines.append(f"{life.told.pid:>7} did {_row(did)}")
        if did != shown:
            lines.append(f"{life.told.pid:>5} shown {_row(shown)}")
            differences += [
                f"{name} of guest {life.told.pid}: did {did[name]}, shown {shown[name]}, "
                f"{shown[name] - did[name]:+d}"
                for name in _COLUMNS
                if did[name] != shown[name]
            ]
    lines.append(f"lost, as the product says: {_lost(stage) or 'nothing'}")
    lines.append(
        f"batches: {stage.relay.passed} passed, {stage.relay.repeated} sent again,"
        f" {stage.relay.delayed} delayed, {stage.relay.unanswered} answers lost"
    )
    differences += _idle(lives)
    differences += _coverage(stage, ended_ms)
    differences += stage.relay.complaints
    differences += [f"ended by itself: {what}" for what in stage.ended_by_themselves]
    return Verdict(tuple(lines), tuple(differences))


def _did(life: Life) -> Figures:
    told = life.told
    return Counter(
        faults=told.faults,
        read=told.read,
        write=told.write,
        execute=told.execute,
        memory_fault_exits=len(told.memory_fault_exits),
        bare_error_exits=len(told.exits) - len(told.memory_fault_exits),
        exit_records=len(told.exits),
    )


def _shown(stage: Stage, pid: int) -> Figures:
    vm = stage.product.vm(pid)
    if vm is None:
        return Counter()
    flags = stage.product.flags(vm["id"])
    shown = {name: int(vm[name]) for name in ("faults", "memory_fault_exits", "bare_error_exits")}
    shown |= {name: flags.get(name, 0) for name in ("read", "write", "execute")}
    return Counter(shown | {"exit_records": sum(1 for _ in _exits(stage, vm["id"]))})


def _exits(stage: Stage, vm_id: str) -> Iterable[Any]:
    page = stage.product.get("exits", vm=vm_id, limit=1000)
    yield from page["items"]
    while page["next_cursor"]:
        page = stage.product.get("exits", vm=vm_id, limit=1000, cursor=page["next_cursor"])
        yield from page["items"]


def _lost(stage: Stage) -> dict[str, int]:
    (host,) = stage.product.get("status")["hosts"]
    return dict(host["lost"])


def _row(figures: Figures) -> str:
    return "".join(f"{figures[name]:>19}" for name in _COLUMNS)


def _idle(lives: Sequence[Life]) -> list[str]:
    return [
        f"guest {life.told.pid} was idle in {life.idle_seconds} of {len(life.by_second)} seconds"
        for life in lives
        if life.idle_seconds > _IDLE_SHARE * len(life.by_second)
    ]


def _coverage(stage: Stage, ended_ms: int) -> list[str]:
    """What the collector's clock showed from attaching to the end is covered, and nothing else is."""
    rates = stage.product.get(
        "rates",
        metric="faults",
        from_=stage.attached_ms - 2 * _HOUR_MS,
        to=ended_ms + 2 * _HOUR_MS,
        step="1m",
    )
    covered = [(span["from_ms"], span["to_ms"]) for span in rates["coverage"]]
    shown = stage.clock.shown(stage.attached_ms, ended_ms)
    gaps = subtract(shown, covered)
    # The collector goes on for a moment after the last guest.
    false = [span for span in subtract(covered, shown) if span[0] < shown[-1][1] - _EDGE_MS]
    return [
        f"gap of {end - begin} ms in what is covered" for begin, end in gaps if end - begin > _EDGE_MS
    ] + [f"{end - begin} ms covered that never were" for begin, end in false if end - begin > _EDGE_MS]


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Return what is left of half-open spans without others, in the order of time."""
    left = sorted(spans)
    for hole_begin, hole_end in holes:
        rest = []
        for begin, end in left:
            rest += [(begin, min(end, hole_begin)), (max(begin, hole_end), end)]
        left = [(begin, end) for begin, end in rest if begin < end]
    return left
