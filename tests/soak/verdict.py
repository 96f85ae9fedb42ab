"""Compares what the API shows with what the guests did."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.soak.coverage import coverage_differences
from tests.soak.guests import Life
from tests.soak.stage import Stage

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
            off = (f"{name} {shown[name] - did[name]:+d}" for name in _COLUMNS if shown[name] != did[name])
            differences.append(f"guest {life.told.pid}: {', '.join(off)}")
    lines.append(f"lost, as the product says: {_lost(stage) or 'nothing'}")
    lines.append(
        f"batches: {stage.relay.passed} passed, {stage.relay.repeated} sent again,"
        f" {stage.relay.delayed} delayed, {stage.relay.unanswered} answers lost"
    )
    differences += _idle(lives)
    differences += coverage_differences(stage, ended_ms)
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
