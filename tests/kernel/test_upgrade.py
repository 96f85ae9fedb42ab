# SPDX-License-Identifier: Apache-2.0
"""Upgrades under guests that fault meanwhile, with the version before as the old side."""

import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from faultmodel.kinds import EventReason
from tests import previous
from tests.kernel.guests import run_guest, start_guest, truth_of
from tests.product import TOP, Product, wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def tree_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpacks a version, once: the next test needs not compile its Python again."""
    return cache(lambda commit: previous.unpack(tmp_path_factory.mktemp("previous"), commit))


@pytest.fixture
def old_product(
    request: pytest.FixtureRequest, tree_of: Callable[[str], Path], tmp_path: Path
) -> Iterator[Product]:
    """Server and collector of a version before: the parameter's commit."""
    running = Product(tmp_path, tree=tree_of(getattr(request, "param", previous.COMMIT)))
    try:
        running.start_server()
        running.start_collector()
        yield running
    finally:
        running.tree = TOP
        running.stop()


def _hand_over(product: Product) -> None:
    """End the collector as the documentation of upgrades says: its programs go on."""
    assert product.collector is not None
    product.collector.send_signal(signal.SIGHUP)
    assert product.collector.wait(60) == 0


def _upgrade_server(product: Product) -> None:
    product.kill_server()
    tree, product.tree = product.tree, TOP
    product.command("backend", "migrate", "--database", product.database)
    product.start_server()
    product.tree = tree


@pytest.mark.parametrize("order", ["the server first", "the collector first"])
def test_an_upgrade_loses_no_fault_and_doubles_none(old_product: Product, order: str) -> None:
    guest = start_guest(write=1009, hold=True)
    assert guest.stdout is not None
    truths = [truth_of(guest.stdout.readline())]
    old_product.vm_with(truths[0].pid, faults=truths[0].faults)
    _hand_over(old_product)
    truths.append(run_guest(write=503, memory_fault=7))
    if order == "the server first":
        _upgrade_server(old_product)
        truths.append(run_guest(write=307))
        old_product.tree = TOP
        old_product.start_collector()
    else:
        old_product.tree, tree = TOP, old_product.tree
        old_product.spawn_collector()
        batches = old_product.data_dir / "spool"
        wait_for(lambda: len(list(batches.glob("*.batch"))) > 2 or None, 120, "the old server takes nothing")
        truths.append(run_guest(write=307))
        old_product.tree = tree
        _upgrade_server(old_product)
    truths.append(run_guest(write=211))
    guest.communicate()
    for truth in truths:
        # The guest whose accesses fail runs while the earlier version's programs count.
        vm = old_product.vm_with(truth.pid, faults=truth.mapped)
        assert vm["faults"] == truth.mapped


@pytest.mark.parametrize("old_product", [previous.WITHOUT_LAYOUT], indirect=True)
def test_counts_whose_layout_was_not_kept_with_them_are_read_on_without_a_gap(old_product: Product) -> None:
    guest = start_guest(write=1009, hold=True)
    assert guest.stdout is not None
    truths = [truth_of(guest.stdout.readline())]
    old_product.vm_with(truths[0].pid, faults=truths[0].faults)
    _hand_over(old_product)
    truths.append(run_guest(write=503, memory_fault=7))
    _upgrade_server(old_product)
    old_product.tree = TOP
    old_product.start_collector()
    truths.append(run_guest(write=211))
    guest.communicate()
    for truth in truths:
        # The guest whose accesses fail runs while the earlier version's programs count.
        vm = old_product.vm_with(truth.pid, faults=truth.mapped)
        assert vm["faults"] == truth.mapped
    assert len(old_product.get("rates", metric="faults", from_="now-1h", step="1s", most=1)["coverage"]) == 1
    kinds = [item["kind"] for item in old_product.get("host-events", host=old_product.host)["items"]]
    assert kinds.count("replaced") == 1
    reasons = {item["reason"] for item in old_product.get("host-events", host=old_product.host)["items"]}
    assert EventReason.UNREADABLE not in reasons
