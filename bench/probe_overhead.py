"""What counting costs a fault: a real guest without a tracer, with an empty program, with kvmfaults.

The empty raw-tracepoint program on the same tracepoint is the floor: what any BPF tracer costs. Turns are
interleaved, so that a noisy machine disturbs all of them alike. Prints medians, in nanoseconds per fault.

    python -m bench.probe_overhead [--turns 15] [--faults 100000]
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import bcc

from collector.probe.headers import ensure_headers
from collector.probe.loader import Probes
from collector.probe.plan import Plan, make_plan
from demo.exact import ExactGuest, Order

_EMPTY = b"int on_fault(struct bpf_raw_tracepoint_args *ctx) { return 0; }"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--faults", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        headers = ensure_headers(Path(directory))
        plan = make_plan((headers / "include" / "vmlinux.h").read_text())
        os.environ["BCC_KERNEL_SOURCE"] = str(headers)
        kinds: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "no tracer": contextlib.nullcontext,
            "empty program": lambda: _empty(plan),
            "kvmfaults": lambda: Probes(plan, headers),
        }
        _print(_measure(kinds, options.turns, options.faults))


def _measure(
    kinds: dict[str, Callable[[], AbstractContextManager[object]]], turns: int, faults: int
) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(turns):
        for name, tracer in kinds.items():
            with tracer(), ExactGuest(Order(write=faults)) as guest:
                begin_ns = time.monotonic_ns()
                guest.follow("bench")
                taken[name].append((time.monotonic_ns() - begin_ns) / faults)
    return taken


@contextlib.contextmanager
def _empty(plan: Plan) -> Iterator[None]:
    """An empty program where this flavour's faults are counted."""
    fires = plan.flavour.fires_page_fault
    counted = "kvm_page_fault" if fires else "kvm_mmu_spte_requested"
    program = bcc.BPF(text=_EMPTY)
    program.load_func(b"on_fault", program.RAW_TRACEPOINT)
    program.attach_raw_tracepoint(tp=counted.encode(), fn_name=b"on_fault")
    try:
        yield
    finally:
        program.cleanup()


def _print(taken: dict[str, list[float]]) -> None:
    base = statistics.median(taken["no tracer"])
    floor = statistics.median(taken["empty program"]) - base
    print(f"{'':14} {'ns/fault':>9} {'spread':>15} {'added':>7} {'ratio to the floor':>19}")
    for name, values in taken.items():
        median, added = statistics.median(values), statistics.median(values) - base
        spread = f"{min(values):.0f}..{max(values):.0f}"
        ratio = f"{added / floor:.2f}" if name != "no tracer" and floor > 0 else ""
        print(f"{name:14} {median:9.0f} {spread:>15} {added:7.0f} {ratio:>19}")


if __name__ == "__main__":
    main()
