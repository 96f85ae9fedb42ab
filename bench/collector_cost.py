# SPDX-License-Identifier: Apache-2.0
"""What the collector costs its host: its start, its CPU time under three loads, its memory and its growth.

It is the real process, at its default interval, with a server of its own whose cost is not counted. CPU is of
one core, with that of children that have ended. Run as root, on a host that runs no other collector.

    python -m bench.collector_cost [--seconds 30] [--vms 500] [--minutes 0.5] [--vms-per-second N]

For growth over an hour of VMs coming and going: --minutes 60 --vms-per-second 20.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cost import load
from bench.cost.process import Memory, cpu_s, memory
from bench.markdown import table
from tests.product import Product

ATTACHED_S = 1.5
CPU_PERCENT = 2.0
GROWTH_BYTES = 1 << 20
"""What Python's allocator moves by."""

_SETTLED_S = 12.0
"""For its first ten seconds a VM may still change its name, which is looked at."""
_SETTLED_VMS = 15_000
"""Measured: by then all that it keeps of those that have ended is there, and nothing has a reason to grow."""
_VMS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what was measured, in its unit, and its limit, if it has one."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def row(self) -> tuple[str, ...]:
        """Return it as text."""
        value = f"{self.value:,.2f} {self.unit}"
        if self.limit is None:
            return self.name, value, "", ""
        return self.name, value, f"{self.limit:g} {self.unit}", f"{self.value / self.limit:.2f}"


def main() -> None:
    """Measure and print."""
    options = _options()
    if os.geteuid() != 0:
        sys.exit("tracing takes root: run this with sudo")
    with tempfile.TemporaryDirectory() as directory:
        product = Product(Path(directory))
        # So that the first start finds nothing, and the second what the first has kept.
        product.cache_dir = Path(directory) / "cache"
        try:
            product.start_server()
            figures = list(_measure(product, options))
        finally:
            product.stop()
    rows = [figure.row() for figure in figures]
    print(*table([("", "measured", "limit", "of the limit"), *rows]), sep="\n")


def _measure(product: Product, options: argparse.Namespace) -> Iterator[Figure]:
    _say("starting")
    yield from _start(product, "the first start on a host")
    _stop_collector(product)
    yield from _start(product, "a start")
    pid = _pid(product)
    time.sleep(_SETTLED_S)
    yield from _memory("no VMs", memory(pid))
    yield from _busy(pid, options.seconds)
    yield from _idle(pid, options.seconds, options.vms)
    yield from _come_and_go(pid, options.minutes, options.vms_per_second)


def _busy(pid: int, seconds: float) -> Iterator[Figure]:
    _say("two vCPUs faulting as fast as they can")
    with load.running("busy") as busy:
        percent = _cpu_percent(pid, seconds)
    yield Figure(f"CPU, 2 vCPUs at {busy.per_s:,.0f} faults/s together", percent, "%", CPU_PERCENT)


def _idle(pid: int, seconds: float, vms: int) -> Iterator[Figure]:
    _say(f"{vms} idle VMs")
    with load.running("idle", vms):
        percent = _cpu_percent(pid, _SETTLED_S)
        yield Figure(f"CPU, {vms} VMs, their first {_SETTLED_S:g} s", percent, "%")
        yield Figure(f"CPU, {vms} idle VMs", _cpu_percent(pid, seconds), "%", CPU_PERCENT)
        yield from _memory(f"{vms} idle VMs", memory(pid))


def _come_and_go(pid: int, minutes: float, vms_per_s: float) -> Iterator[Figure]:
    _say("VMs coming and going")
    with load.running("come-and-go", _SETTLED_VMS):
        pass
    before, used_s, gone = memory(pid), cpu_s(pid), 0
    began = time.monotonic()
    while time.monotonic() - began < 60 * minutes:
        with load.running("come-and-go", _VMS_AT_ONCE):
            gone += _VMS_AT_ONCE
        time.sleep(max(0.0, began + gone / vms_per_s - time.monotonic()))
    elapsed_s = time.monotonic() - began
    percent = 100 * (cpu_s(pid) - used_s) / elapsed_s
    yield Figure(f"CPU, {gone / elapsed_s:.0f} VMs/s coming and going", percent, "%")
    name = f"growth over {gone} VMs in {elapsed_s / 60:.1f} min"
    yield _bytes(name, memory(pid).anonymous - before.anonymous, GROWTH_BYTES)


def _memory(when: str, of: Memory) -> Iterator[Figure]:
    yield _bytes(f"resident, {when}", of.resident)
    yield _bytes(f"proportional (Pss), {when}", of.proportional)
    yield _bytes(f"anonymous, {when}", of.anonymous)
    yield _bytes(f"BPF maps and programs, {when}", of.kernel)


def _bytes(name: str, size: int, limit: int | None = None) -> Figure:
    return Figure(name, size / (1 << 20), "MiB", None if limit is None else limit / (1 << 20))


def _start(product: Product, name: str) -> Iterator[Figure]:
    """From the command to the server's word that it is attached."""
    began = time.monotonic()
    product.start_collector()
    yield Figure(f"{name}, until attached", time.monotonic() - began, "s", ATTACHED_S)
    yield Figure("CPU time of it", cpu_s(_pid(product)), "s")


def _stop_collector(product: Product) -> None:
    assert product.collector is not None
    product.collector.send_signal(signal.SIGTERM)
    product.collector.wait()


def _pid(product: Product) -> int:
    assert product.collector is not None
    return product.collector.pid


def _cpu_percent(pid: int, seconds: float) -> float:
    used_s, began = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s(pid) - used_s) / (time.monotonic() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=_positive(float), default=30.0, help="of CPU time (%(default)s)")
    parser.add_argument("--vms", type=_positive(int), default=500, help="that are idle (%(default)s)")
    parser.add_argument(
        "--minutes", type=_positive(float), default=0.5, help="of VMs coming and going (%(default)s)"
    )
    parser.add_argument(
        "--vms-per-second", type=_positive(float), default=math.inf, help="of these, at most (no limit)"
    )
    return parser.parse_args()


def _positive(number: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = number(text)
        if not value > 0:
            raise argparse.ArgumentTypeError("must be above 0")
        return value

    return parse


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
