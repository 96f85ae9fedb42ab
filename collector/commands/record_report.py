# SPDX-License-Identifier: Apache-2.0
"""What ``kvmfaults-collector record`` says: what is promised, and what was recorded in the end."""

from datetime import UTC, datetime

from collector.probe.layout import RecordLevel
from collector.sampling.requests import NS_PER_S, Answer, Granted

_LEVELS = {
    RecordLevel.ALL: "every fault",
    RecordLevel.SAMPLE: "a sample",
    RecordLevel.NONE: "none",
}


def promise(answer: Answer, seconds: float) -> str:
    """Say of each VM what is recorded from now on; a line each."""
    return "".join(_promised(vm, answer, seconds) for vm in answer.granted)


def is_whole(answer: Answer) -> bool:
    """Return whether every fault was recorded and kept, and whether that can be known."""
    in_doubt = answer.missed or answer.dropped_batches
    return bool(answer.since_ns) and answer.seen == answer.recorded and not in_doubt


def report(answer: Answer, asked: str) -> str:
    """Say what was recorded, in lines.

    :param answer: the last that the collector said
    :param asked: the VM as it was asked for
    """
    if not answer.since_ns:
        return f"it is not known what was recorded of {asked}: it ended before a whole reading\n"
    took = (
        f"in {(answer.to_ns - answer.since_ns) / NS_PER_S:.4g} s, {_clock(answer.since_ns)} to"
        f" {_clock(answer.to_ns)} UTC"
    )
    if is_whole(answer):
        if not answer.seen:
            return f"{asked} took no fault {took}\n"
        sampled_ns = answer.level_ns[RecordLevel.SAMPLE]
        sample = (
            f"; for {sampled_ns / NS_PER_S:.4g} s of it by a sample, which had them all" if sampled_ns else ""
        )
        return f"every fault of {asked} was recorded: {_faults(answer.seen)} {took}{sample}\n"
    whether = "not every fault" if answer.recorded < answer.seen else "perhaps not every fault"
    lines = [f"{whether} of {asked} was recorded: {answer.recorded} of {_faults(answer.seen)} {took}"]
    if 0 < answer.recorded < answer.seen:
        lines[0] += f" (1 of {answer.seen / answer.recorded:.4g})"
    return "".join(f"{line}\n" for line in [*lines, *_reasons(answer)])


def _promised(vm: Granted, answer: Answer, seconds: float) -> str:
    named = f"{vm.name or 'a VM without a name'} (id {vm.id}, process {vm.pid})"
    if answer.level is RecordLevel.ALL:
        return f"every fault of {named} is recorded for {seconds:g} s, as long as the budget allows\n"
    # Why it stepped down was so then: by now the collector may use much less.
    why = f" ({answer.reason})" if answer.reason else ""
    return (
        f"of {named} not every fault is recorded now, but {_LEVELS[answer.level]}: the collector was above"
        f" its budget{why}; once it has used less than half of it for a while, it records more again\n"
    )


def _reasons(answer: Answer) -> list[str]:
    left_out = answer.seen - answer.recorded - answer.dropped - answer.late
    reasons = []
    if left_out:
        held_back = any(answer.level_ns[level] for level in (RecordLevel.NONE, RecordLevel.SAMPLE))
        times = ", ".join(
            f"{_LEVELS[level]} for {answer.level_ns[level] / NS_PER_S:.4g} s"
            for level in reversed(RecordLevel)
            if answer.level_ns[level]
        )
        why = f" ({answer.reason}; run the collector with a larger --budget)" if held_back else ""
        reasons.append(f"  left out: {_faults(left_out)}; recorded was {times}{why}")
    if answer.late:
        reasons.append(
            f"  left out: {_faults(answer.late)} of VMs that began meanwhile, before they were known"
        )
    if answer.dropped:
        reasons.append(f"  dropped: {_faults(answer.dropped)}, which found the buffer of records full")
    if answer.dropped_batches:
        were = "1 batch was" if answer.dropped_batches == 1 else f"{answer.dropped_batches} batches were"
        reasons.append(
            f"  {were} dropped meanwhile, for want of room or damaged: some may have had what was recorded"
        )
    if answer.missed:
        reasons.append(f"  missed: {answer.missed} events of this host, of which some may be its faults")
    return reasons


def _faults(number: int) -> str:
    return "1 fault" if number == 1 else f"{number} faults"


def _clock(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / NS_PER_S, UTC).strftime("%H:%M:%S")
