# SPDX-License-Identifier: Apache-2.0
"""What the program on kvm_entry takes, which a host passes up to a million times a second.

    python -m bench.overhead.entries [RUNS]

It is run on made-up events, as kvm_entry does not fire on every host (PVM), beside an empty program that is
run in the same way. All is in the cache, as it is after a guest that does not use much of it.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bcc

from bench.markdown import table
from bench.overhead import run_time
from collector.probe import syscall
from tests.kernel.made_up import VCPU, MadeUp, made_up, plan_of_svm

RUNS = 100_000
_TURNS = 5
_OPENED_OF = 10
"""Of so many runs one is made where a fault is open: each has to be opened anew."""
_EMPTY = b"int on_entry(struct bpf_raw_tracepoint_args *ctx) { return 0; }"
_LONG_AGO_NS = 1


def main() -> None:
    """Measure and print."""
    if os.geteuid() != 0:
        sys.exit("BPF takes root: run this with sudo")
    with tempfile.TemporaryDirectory() as directory:
        runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
        print(*lines(Path(directory), runs), sep="\n")


def lines(cache: Path, runs: int = RUNS) -> list[str]:
    """Measure, in turns, and return the table: of each the least.

    :param cache: where this kernel's types are kept, or will be
    """
    with tempfile.TemporaryDirectory() as modules, run_time.measured():
        headers, plan = plan_of_svm(cache, Path(modules))
        with _empty(headers) as empty, made_up(headers, plan) as vcpu:
            turns = [dict(_turn(empty, vcpu, runs)) for _ in range(_TURNS)]
    least = {name: min(turn[name] for turn in turns) for name in turns[0]}
    floor = least["empty program"]
    rows = [(name, f"{ns:,.0f}", f"{ns - floor:,.0f}") for name, ns in least.items()]
    return table([("kvm_entry", "ns/run", "over the empty program"), *rows])


def _turn(empty: int, vcpu: MadeUp, runs: int) -> Iterator[tuple[str, float]]:
    def opened(begun_ns: int) -> Callable[[], None]:
        return lambda: vcpu.set(is_open=1, begun_ns=begun_ns)

    program = vcpu.program("kvm_entry")
    vcpu.begin_anew()
    yield "empty program", _ns(empty, runs)
    yield "no fault is open", _ns(program, runs)
    vcpu.set(running=0)
    yield "the thread had no fault in this KVM_RUN", _ns(program, runs)
    vcpu.set(running=1)
    yield "a fault ends, not timed", _ns(program, runs // _OPENED_OF, opened(0))
    yield "a fault ends, timed", _ns(program, runs // _OPENED_OF, opened(_LONG_AGO_NS))


def _ns(program: int, runs: int, before_each: Callable[[], None] = lambda: None) -> float:
    """Return how long a run takes on average, in ns."""
    event = VCPU.to_bytes(8, sys.byteorder) + bytes(8)
    before = syscall.program_runs(program)
    for _ in range(runs):
        before_each()
        syscall.run(program, event)
    after = syscall.program_runs(program)
    return (after.time_ns - before.time_ns) / (after.count - before.count)


@contextmanager
def _empty(headers: Path) -> Iterator[int]:
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    module = bcc.BPF(text=_EMPTY, cflags=[])
    program = syscall.load_program(module.dump_func(b"on_entry"), "empty")
    try:
        yield program
    finally:
        os.close(program)
        module.cleanup()


if __name__ == "__main__":
    main()
