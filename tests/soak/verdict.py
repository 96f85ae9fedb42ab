# SPDX-License-Identifier: Apache-2.0
"""Compares what the API shows with what the guests did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.soak.coverage import gaps_and_doubles
from tests.soak.guests import Life
from tests.soak.shown import FIGURES, Figures, Shown, ShownBatches, shown_batches, shown_guest
from tests.soak.stage import Stage

_IDLE_SHARE = 0.1
_AT_WORK_SHARE = 0.25
_ACCESSES = ("read", "write", "execute")


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
    batches = shown_batches(stage.product)
    lines = ["           pid " + "".join(f"{name:>19}" for name in FIGURES)]
    differences = []
    for life in lives:
        did, shown = _did(life), shown_guest(stage.product, life.truth.pid)
        lines.append(f"{life.truth.pid:>10} did {_row(did)}")
        if did != shown.figures:
            lines.append(f"{life.truth.pid:>8} shown {_row(shown.figures)}   missing {shown.missing}")
        differences += [f"guest {life.truth.pid}: {what}" for what in _compare(life, shown, batches)]
    differences += _idle(lives)
    differences += _batch_differences(batches, stage.cut_batches)
    gaps, doubles = gaps_and_doubles(stage, ended_ms)
    differences += doubles
    lines += [f"shown: {gap}" for gap in gaps]
    if len(gaps) > batches.dropped:
        differences.append(f"{len(gaps)} gaps, where {batches.dropped} batches were dropped")
    differences += stage.relay.complaints
    differences += [f"ended by itself: {what}" for what in stage.ended_by_themselves]
    kills = stage.kills
    lines.append(
        f"kills: {kills['server']} of the server, {kills['collector']} of the collector,"
        f" {kills['at work']} of them at work"
    )
    if kills["at work"] < _AT_WORK_SHARE * (kills["server"] + kills["collector"]):
        differences.append("too few kills hit something at work: this machine is too slow to find out")
    lines.append(
        f"batches: {batches.stored} stored, {batches.dropped} dropped of {stage.cut_batches} cut off,"
        f" {stage.relay.repeated} sent again, {stage.relay.delayed} delayed,"
        f" {stage.relay.unanswered} answers lost"
    )
    return Verdict(tuple(lines), tuple(differences))


def _did(life: Life) -> Figures:
    truth = life.truth
    return Counter(
        faults=truth.faults,
        read=truth.read,
        write=truth.write,
        execute=truth.execute,
        memory_fault_exits=len(truth.memory_fault_exits),
        bare_error_exits=len(truth.exits) - len(truth.memory_fault_exits),
        exit_records=len(truth.exits),
    )


def _row(figures: Figures) -> str:
    return "".join(f"{figures[name]:>19}" for name in FIGURES)


def _compare(life: Life, shown: Shown, batches: ShownBatches) -> list[str]:
    """Return what is neither shown nor stated as lost, to the last fault."""
    did = _did(life)
    differences = [] if shown.is_balanced else ["its ledger does not balance"]
    short = {name: did[name] - shown.figures[name] for name in FIGURES}
    lost = shown.missing + shown.uncounted
    if short["faults"] != lost:
        differences.append(f"{short['faults']} faults are not shown, {lost} are stated as lost")
    if sum(short[name] for name in _ACCESSES) != short["faults"]:
        differences.append("its faults by access do not add up to its faults")
    for name in FIGURES:
        # How many exits a dropped batch held is not stated; that it was dropped is.
        if short[name] < 0 or (short[name] > 0 and not batches.dropped):
            differences.append(f"{name}: did {did[name]}, shown {shown.figures[name]}")
    return differences


def _batch_differences(batches: ShownBatches, cut: int) -> list[str]:
    differences = []
    if batches.under_way:
        differences.append(f"{batches.under_way} batches are said to be under way, none is")
    if batches.dropped > cut:
        differences.append(f"{batches.dropped} batches were dropped, {cut} were cut off")
    others = {kind: count for kind, count in batches.lost.items() if kind != "spool_batches"}
    if others:
        differences.append(f"lost: {others}")
    return differences


def _idle(lives: Sequence[Life]) -> list[str]:
    return [
        f"guest {life.truth.pid} was idle in {life.idle_seconds} of {len(life.by_second)} seconds"
        for life in lives
        if life.idle_seconds > _IDLE_SHARE * len(life.by_second)
    ]
