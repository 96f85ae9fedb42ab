# SPDX-License-Identifier: Apache-2.0
"""Upgrades in either order, and a fleet that stays mixed: nothing is lost, and nothing counts twice.

Both sides are real processes. What collectors deliver are batches that their own version made.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import previous
from tests.product import TOP, Product, wait_for

VM = "00000000000000a1"
OTHER = "00000000000000a2"
START_S = 120.0
SHIP_S = 60

COLLECTOR = """
import sys
from pathlib import Path

try:
    from collector.ship.shipper import Shipper
    from collector.ship.uplink import Uplink
    from collector.spool.queue import Spool
except ModuleNotFoundError:  # the version before
    from collector.shipper import Shipper
    from collector.shipper_http import Uplink
    from collector.spool import Spool
from faultmodel import wire
from tests.batches import fault_count, make_batch, make_host, make_vm

directory, url, token, host, vm = sys.argv[1:6]
stream = f"{int(vm, 16) * 16 + wire.VERSION:032x}"
with Spool(Path(directory)) as spool:
    shipper = Shipper(spool, Uplink(url, token_file=Path(token)))
    shipper.start()
    sequence = 0
    for line in sys.stdin:
        if line == "flush\\n":
            shipper.flush(float(sys.argv[6]))
            print("flushed", spool.backlog_batches, flush=True)
            break
        counts = [fault_count(vm, second=sequence, faults=int(line))]
        batch = make_batch(
            sequence, host=make_host(host), stream=stream, vms=(make_vm(vm),), fault_counts=counts
        )
        spool.put(wire.encode(batch))
        sequence += 1
        print("put", flush=True)
"""


class Collector:
    """One version's delivery, for one host, from a spool that outlives it."""

    def __init__(self, tree: Path, product: Product, host: str, vm: str) -> None:
        token = product.directory / f"{host}.token"
        command = [sys.executable, "-c", COLLECTOR, str(product.directory / f"{host}-spool"), product.url]
        self._process = subprocess.Popen(
            [*command, str(token), host, vm, str(SHIP_S)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def count(self, *faults: int) -> int:
        """Make a batch of each; return how many faults it were."""
        for number in faults:
            assert self._say(str(number)) == "put"
        return sum(faults)

    def end(self) -> int:
        """End in order; return how many batches it leaves."""
        left = int(self._say("flush").removeprefix("flushed "))
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return left

    def kill(self) -> None:
        """End at once, if it has not ended."""
        self._process.kill()
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.communicate()

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


Start = Callable[[Path, str, str], Collector]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version before."""
    return previous.unpack(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def product(tmp_path: Path, old: Path) -> Iterator[Product]:
    """A server of the version before, and two hosts."""
    running = Product(tmp_path, tree=old)
    running.rename("one")
    running.rename("two")
    try:
        running.start_server(expect_collector=False)
        yield running
    finally:
        running.stop()


@pytest.fixture
def start(product: Product) -> Iterator[Start]:
    """Starts collectors, which end with the test."""
    started: list[Collector] = []

    def begin(tree: Path, host: str, vm: str) -> Collector:
        started.append(Collector(tree, product, host, vm))
        return started[-1]

    yield begin
    for collector in started:
        collector.kill()


def _upgrade(product: Product) -> None:
    product.kill_server()
    product.tree = TOP
    product.command("backend", "migrate", "--database", product.database)
    product.start_server(expect_collector=False)


def _faults(product: Product, vm: str) -> int:
    items = product.get("vms", host="one" if vm.endswith("1") else "two")["items"]
    return sum(int(item["faults"]) for item in items)


@contextmanager
def _away(product: Product) -> Iterator[None]:
    product.kill_server()
    yield
    product.spawn_server(expect_collector=False)
    wait_for(lambda: product.status("/healthz") == 200 or None, START_S, "the server answers")


def test_the_server_first_as_is_documented(product: Product, old: Path, start: Start) -> None:
    collector = start(old, "one", VM)
    faults = collector.count(1, 2, 3)
    wait_for(lambda: _faults(product, VM) == faults or None, START_S, "the old server has it")
    product.kill_server()
    faults += collector.count(4, 5)
    # The process ends without waiting, as one does that hands over; what was not sent waits in its spool.
    collector.kill()
    _upgrade(product)
    collector = start(TOP, "one", VM)
    faults += collector.count(6, 7)
    assert collector.end() == 0
    assert _faults(product, VM) == faults


def test_the_collector_first(product: Product, old: Path, start: Start) -> None:
    collector = start(old, "one", VM)
    faults = collector.count(1, 2)
    assert collector.end() == 0
    collector = start(TOP, "one", VM)
    faults += collector.count(3, 4, 5)
    delivery = product.directory / "one-spool/delivery.json"
    wait_for(lambda: "version" in _text(delivery) or None, START_S, "the old server refuses")
    assert _faults(product, VM) == 3
    collector.kill()
    _upgrade(product)
    collector = start(TOP, "one", VM)
    assert collector.end() == 0
    assert _faults(product, VM) == faults
    assert list((product.directory / "one-spool/aside").iterdir()) == []


def test_a_fleet_that_stays_mixed(product: Product, old: Path, start: Start) -> None:
    first, second = start(old, "one", VM), start(TOP, "two", OTHER)
    faults, others = first.count(1, 2), second.count(1, 2)
    wait_for(lambda: _faults(product, VM) == faults or None, START_S, "the old server takes the old one's")
    _upgrade(product)
    for round_ in range(3):
        faults += first.count(3 + round_)
        others += second.count(3 + round_)
    assert (first.end(), second.end()) == (0, 0)
    assert (_faults(product, VM), _faults(product, OTHER)) == (faults, others)


def test_an_old_collector_loses_nothing_to_a_new_server_that_is_away_for_a_while(
    product: Product, old: Path, start: Start
) -> None:
    _upgrade(product)
    collector = start(old, "one", VM)
    faults = collector.count(1, 2)
    with _away(product):
        faults += collector.count(3, 4)
    faults += collector.count(5)
    assert collector.end() == 0
    assert _faults(product, VM) == faults


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
