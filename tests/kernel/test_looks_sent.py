# SPDX-License-Identifier: Apache-2.0
"""What a collector with no more rights than it keeps puts into its batches of what it looked at."""

import platform
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from collector.counting.looking import load_watchers
from collector.counting.reader import Reader
from collector.probe import syscall
from collector.probe.compiler_process import Terms
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.plan import make_plan
from collector.settings import spool_directory
from collector.spool import file
from collector.spool.queue import Spool
from demo import memory
from demo.guest import Guest
from demo.layout import Layout
from demo.machine import Op
from faultmodel import wire
from faultmodel.kinds import CheckState
from faultmodel.wire import Batch
from tests.kernel.attached import attached, bytecode_of, faults, own_vms, read
from tests.kernel.guests import start_guest, truth_of
from tests.product import START_S, Product, wait_for

pytestmark = pytest.mark.kernel

PAGE = 4096


def test_looks_are_in_the_batches_that_are_to_be_sent(tmp_path: Path) -> None:
    product = Product(tmp_path)
    try:
        # No server: all batches stay in the spool.
        product.spawn_collector("--interval", "0.2")
        _until_spooled(product, lambda batches: any(map(_looks, batches)), "it looks")
        with start_guest(hold=True, write=900, vcpus=2) as guest:
            assert guest.stdout is not None
            truth = truth_of(guest.stdout.readline())
            # Two more readings, of which the last one has all.
            so_far = len(_waiting(product))
            _until_spooled(product, lambda batches: len(batches) > so_far + 2, "all is looked at")
            guest.communicate(timeout=60)
        assert product.collector is not None
        product.collector.send_signal(signal.SIGTERM)
        product.collector.wait()
        batches = _spooled(product)
    finally:
        product.stop()
    (vm,) = {vm.id for batch in batches for vm in batch.vms if vm.pid == truth.pid}
    memslots = [row for batch in batches for row in batch.memslots if row.vm == vm]
    assert {row.backing for row in memslots} == {"anonymous", "memfd"}
    assert len({row.slot for row in memslots}) == len(memslots), "each once, since none changed"
    assert set(_looks(batches[-1]).values()) == {CheckState.OK}
    if platform.machine() != "x86_64":
        return
    counts = [row for batch in batches for row in batch.kvm_counts if row.vm == vm]
    assert sum(row.pf_taken for row in counts) == sum(row.seen for row in counts) == truth.faults
    (pages,) = [row for batch in batches for row in batch.vm_pages if row.vm == vm][-1:]
    mapped = pages.pages_4k * PAGE + pages.pages_2m * 512 * PAGE
    assert 0 < mapped <= sum(row.size for row in memslots)


def _looks(batch: Batch) -> dict[str, CheckState]:
    names = ("looks", "mappings", "memslots", "kvm_counts")
    return {check.name: check.state for check in batch.host.checks if check.name in names}


def _waiting(product: Product) -> list[Batch]:
    """Return what is spooled, without the spool's lock, which the collector has."""
    paths = spool_directory(product.data_dir).rglob("*.batch")
    return [wire.decode(one.batch) for path in paths if (one := file.decode(path.read_bytes())) is not None]


def _until_spooled(product: Product, is_such: Callable[[list[Batch]], bool], what: str) -> None:
    wait_for(lambda: is_such(_waiting(product)) or None, START_S, what)


def _spooled(product: Product) -> list[Batch]:
    found = []
    with Spool(spool_directory(product.data_dir)) as spool:
        while (oldest := spool.oldest()) is not None:
            found.append(wire.decode(oldest.batch))
            spool.remove(oldest.number)
    return found


def test_a_host_that_refuses_to_look_is_counted_all_the_same(
    headers_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    layout = Layout()
    region = layout.add(memory.anonymous(50))
    with attached(headers_cache) as probes, ExitStack() as stack:
        headers = ensure_headers(headers_cache)
        plan = make_plan(read_facts(headers))
        with monkeypatch.context() as patched:
            patched.setattr(syscall, "load_program", refused)
            watchers, checks = load_watchers(
                stack, probes, plan, headers, bytecode_of(headers_cache), Terms()
            )
        with Guest(layout) as guest:
            guest.warm_up()
            guest.touch(region.touch(Op.WRITE))
            reading = read(Reader(probes), probes)
            assert faults(reading, own_vms(reading)) > region.pages
    # Sleeps are counted all the same, and not named.
    assert [watcher.lacking() != "" for watcher in watchers] == [True] * len(watchers)
    ((name, state, found),) = [(check.name, check.state, check.found) for check in checks]
    assert (name, state) == ("looks", CheckState.LACKING)
    assert found.startswith("memslots and KVM's own counts are not known: the kernel refuses the program")
