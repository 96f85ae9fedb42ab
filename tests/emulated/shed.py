# SPDX-License-Identifier: Apache-2.0
"""Runs in an emulated machine, where KVM shows entries: a counting of its own, which sheds that for a while.

python -m tests.emulated.shed CACHE

Prints of each part what a guest did, and what was counted of it.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import ENTRY
from collector.probe.loading import load
from collector.probe.plan import make_plan
from collector.probe.probes import Probes
from collector.probe.source import make_source
from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from faultmodel.stalls import UNTIMED
from tests.kernel.slow_handler import SlowHandler

PARTS = ("attached", "shed", "restored")
TOUCHED = 41
LATE_S = 0.3


def main(cache: Path) -> None:
    """Act.

    :param cache: where a collector keeps headers and bytecode
    """
    headers = ensure_headers(cache / "headers")
    plan = make_plan(read_facts(headers))
    source = make_source(plan)
    with Probes(load(plan, source, headers, cache=BytecodeCache(cache / "bytecode"))) as probes:
        probes.attach(plan)
        probes.begin(source)
        sys.stdout.write(f"{json.dumps(_act(probes))}\n")


def _act(probes: Probes) -> Mapping[str, Mapping[str, object]]:
    layout = Layout()
    regions = [(layout.add(memory.anonymous(TOUCHED)), layout.add(memory.anonymous(1))) for _ in PARTS]
    with Guest(layout) as guest:
        guest.warm_up()
        reader = Reader(probes)
        reader.read()
        found = {}
        for part, (region, late) in zip(PARTS, regions, strict=True):
            if part == "shed":
                probes.shed_one(ENTRY)
            elif part == "restored":
                probes.restore(ENTRY)
            guest.touch(region.touch(Op.WRITE, TOUCHED))
            late_ns = _late_touch(guest, late)
            found[part] = {"late_ns": late_ns, **_counted(reader.read())}
    return found


def _late_touch(guest: Guest, region: Region) -> int:
    """Have the vCPU wait for a page; return how long its handler had that in hand, ns."""
    host = region.require_memory()
    with SlowHandler(host, (LATE_S,)) as handler:
        guest.touch(region.touch(Op.WRITE, 1))
    return handler.spans_ns[0]


def _counted(reading: Reading) -> Mapping[str, object]:
    assert reading.stalls is not None
    assert reading.waits is not None
    timed, untimed = Counter[str](), Counter[str]()
    for key, values in reading.stalls.counts.items():
        (untimed if key.octave == UNTIMED else timed)[key.outcome.value] += sum(values[:4])
    return {
        "faults": sum(counters[0] for counters in reading.fault_counts.values()),
        "timed": timed,
        "untimed": untimed,
        "blocked_ns": sum(values[5] for values in reading.stalls.counts.values()),
        "slept_ns": sum(wait.ns for wait in reading.waits.waits.values()),
        "lost": {kind.value: count for kind, count in reading.lost.items()},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
