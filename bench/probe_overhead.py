"""What watching guest faults costs them: a real guest with no tracer, with kvmfaults, and with others.

The floor is an empty BPF program on the same tracepoint: what any BPF tracer costs. In turns, each watches
the same guest, which writes pages that it has not touched. Run as root.

    python -m bench.probe_overhead [--turns 9] [--faults 100000] [--without-peers]
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.overhead.floor import EmptyProgram, NoTracer
from bench.overhead.kvmfaults import Kvmfaults
from bench.overhead.peers import peers
from bench.overhead.table import lines
from bench.overhead.tracer import Tracer
from bench.overhead.turns import measure
from collector.probe.headers import ensure_headers
from collector.probe.layout import RecordLevel
from collector.probe.plan import make_plan


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=_at_least(2), default=9, help="of each tracer (%(default)s)")
    parser.add_argument("--faults", type=_at_least(1), default=100_000, help="a turn (%(default)s)")
    parser.add_argument("--without-peers", action="store_true", help="measure kvmfaults and the floor alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        headers = ensure_headers(Path(directory))
        plan = make_plan((headers / "include" / "vmlinux.h").read_text())
        # The first to be attached is what counts a fault; on some flavours it never fires.
        subsystem, tracepoint = next(
            name.split(":")
            for name in plan.attach
            if plan.flavour.fires_page_fault or not name.endswith("kvm_page_fault")
        )
        tracers: list[Tracer] = [
            NoTracer(),
            EmptyProgram(tracepoint, headers),
            Kvmfaults("kvmfaults, defaults", plan, headers),
            Kvmfaults("kvmfaults, all records", plan, headers, RecordLevel.ALL),
        ]
        if not options.without_peers:
            tracers += peers(subsystem, tracepoint)
        taken = measure(tracers, turns=options.turns, faults=options.faults, say=_say)
    print(*lines([tracer.name for tracer in tracers], taken), sep="\n")


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
