# SPDX-License-Identifier: Apache-2.0
"""What watching guest faults costs them: a real guest with no tracer, with kvmfaults, and with others.

The floor is an empty BPF program on the tracepoints that a fault passes: what any BPF tracer there costs. In
turns, each watches the same guest, which writes pages that it has not touched. A second table is of a guest
that takes no faults and leaves KVM_RUN as fast as it can, a third of two threads that run in turns, as the
scheduler has it, and are no guest's; a fourth of kvm_entry, on made-up events. "Both sides" is what kvmfaults
does where programs can be preempted (Linux 7.0 and later). Run as root, where nothing else traces KVM.

    python -m bench.probe_overhead [--turns 9] [--faults 100000] [--exits 30000] [--without-peers]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.overhead import entries, exits, guest, switches
from bench.overhead.floor import EmptyOnPerfSide, EmptyProgram, NoTracer
from bench.overhead.kvmfaults import Kvmfaults
from bench.overhead.peers import peers
from bench.overhead.table import Limit, exit_lines, lines
from bench.overhead.tracer import Tracer
from bench.overhead.turns import measure
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import PROGRAMS_OF_STALLS, RecordLevel
from collector.probe.plan import Plan, make_plan
from collector.probe.sides import Sides

_NOTHING = "no tracer"
_FLOOR = "empty program"
_DEFAULTS = "kvmfaults, defaults"
_ALL_RECORDS = "kvmfaults, all records"
_FLOOR_OF_PERF_SIDE = "empty program, perf side"
_BOTH_SIDES = "kvmfaults, both sides"


def _limit_of_defaults(added: Mapping[str, float]) -> float:
    """60 ns over the floor, and less than any peer that counts per VM and syndrome."""
    counting = [ns for name, ns in added.items() if name.startswith("bpftrace")]
    return min([added[_FLOOR] + 60, *counting])


def _limit_of_all_records(added: Mapping[str, float]) -> float | None:
    return added["perf record"] / 2 if "perf record" in added else None


_EXIT_TRACEPOINT = "kvm_userspace_exit"

_LIMITS: Mapping[str, Limit] = {_DEFAULTS: _limit_of_defaults, _ALL_RECORDS: _limit_of_all_records}


def main() -> None:
    """Measure and print."""
    options = _options()
    if os.geteuid() != 0:
        sys.exit("tracing takes root: run this with sudo")
    with tempfile.TemporaryDirectory() as directory:
        headers = ensure_headers(Path(directory))
        plan = make_plan(read_facts(headers))
        subsystem, tracepoint = _counted(plan).split(":")
        tracers: list[Tracer] = [
            NoTracer(_NOTHING),
            EmptyProgram(_FLOOR, (*_begun(plan), tracepoint), headers),
            Kvmfaults(_DEFAULTS, plan, headers),
            Kvmfaults(_ALL_RECORDS, plan, headers, RecordLevel.ALL),
            EmptyOnPerfSide(_FLOOR_OF_PERF_SIDE, f"{subsystem}:{tracepoint}", headers),
            Kvmfaults(_BOTH_SIDES, plan, headers, sides=Sides.BOTH),
        ]
        if not options.without_peers:
            tracers += peers(subsystem, tracepoint)
        taken = measure(tracers, turns=options.turns, run=lambda: guest.run(options.faults), say=_say)
        leaving: list[Tracer] = [
            NoTracer(_NOTHING),
            EmptyProgram(_FLOOR, (*_begun(plan), _EXIT_TRACEPOINT), headers),
            Kvmfaults(_DEFAULTS, plan, headers),
            Kvmfaults(_BOTH_SIDES, plan, headers, sides=Sides.BOTH),
        ]
        left = measure(leaving, turns=options.turns, run=lambda: exits.run(options.exits), say=_say)
        switching: list[Tracer] = [
            NoTracer(_NOTHING),
            EmptyProgram(_FLOOR, ("sched_switch",), headers),
            Kvmfaults(_DEFAULTS, plan, headers),
        ]
        switched = measure(
            switching, turns=options.turns, run=lambda: switches.run(options.switches), say=_say
        )
        entered = entries.lines(Path(directory)) if os.uname().machine == "x86_64" else []
    print(*lines([tracer.name for tracer in tracers], taken, _LIMITS), sep="\n")
    print("", *exit_lines("exit", [tracer.name for tracer in leaving], left), sep="\n")
    print("", *exit_lines("switch", [tracer.name for tracer in switching], switched), sep="\n")
    print("", *entered, sep="\n")


def _counted(plan: Plan) -> str:
    """The tracepoint that counts a fault: the first that is attached, unless it never fires here."""
    fires = plan.flavour.fires_page_fault
    names = [name for name in plan.attach if name.partition(":")[2] not in PROGRAMS_OF_STALLS]
    return next(name for name in names if fires or not name.endswith("kvm_page_fault"))


def _begun(plan: Plan) -> tuple[str, ...]:
    """The tracepoint that shows that a fault may have begun, where it is not that which counts it."""
    names = [tracepoint.partition(":")[2] for tracepoint in plan.attach]
    return tuple(name for name in names if name == "kvm_mmu_pagetable_walk")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=_at_least(2), default=9, help="of each tracer (%(default)s)")
    parser.add_argument("--faults", type=_at_least(1), default=100_000, help="a turn (%(default)s)")
    parser.add_argument("--exits", type=_at_least(1), default=30_000, help="a turn (%(default)s)")
    parser.add_argument("--switches", type=_at_least(1), default=200_000, help="a turn (%(default)s)")
    parser.add_argument("--without-peers", action="store_true", help="measure kvmfaults and the floor alone")
    return parser.parse_args()


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a number, {least} or more")
        return int(text)

    return parse


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
