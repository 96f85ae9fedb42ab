# SPDX-License-Identifier: Apache-2.0
"""What is asked of every VM of a range takes no memory for those that are not shown."""

import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copy

import pytest

from backend.query.account import account
from backend.query.sources import Sources
from backend.query.vm_totals import FIGURES
from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps, TimeRange
from faultmodel.record import ExitKind
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    exit_count,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

NUMBER = 4800
STEPS = Steps(START_MS, START_MS + 10_000, 1000)
GRID = STEPS
NOW_NS = START_NS + 10 * NS_PER_S


def vm_id(number: int) -> str:
    """Return the id of a VM."""
    return f"{number:016x}"


@pytest.fixture(scope="module")
def filled_file(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with many VMs of two hosts, each of which faults once more than its number; to copy."""
    path = tmp_path_factory.mktemp("filled") / "many-vms.db"
    copy(migrated_file, path)
    with closing(open_store(f"sqlite:///{path}")) as store:
        for host in (1, 2):
            for part in range(host - 1, NUMBER // 800, 2):
                ids = range(part * 800, part * 800 + 800)
                batch = make_batch(
                    part,
                    host=make_host(f"host-{host}"),
                    stream=f"{host:032x}",
                    # Each is a guest of its own.
                    vms=[make_vm(vm_id(number), name=vm_id(number), uuid="") for number in ids],
                    fault_counts=[fault_count(vm_id(number), faults=number + 1) for number in ids],
                    exit_counts=[exit_count(vm_id(number)) for number in ids],
                )
                assert store.apply(batch, NOW_NS)
    return path


@pytest.fixture
def fleet(filled_file: Path, tmp_path: Path) -> Iterator[Store]:
    """Return a store with many VMs, for one test."""
    path = tmp_path / "many-vms.db"
    copy(filled_file, path)
    with closing(open_store(f"sqlite:///{path}")) as store:
        yield store


@pytest.mark.parametrize("host", [None, "host-2"])
def test_the_vms_of_which_most_was_seen_have_their_own_account(fleet: Store, host: str | None) -> None:
    numbers = [number for number in range(NUMBER) if host is None or number // 800 % 2]
    found = account(Sources.of(fleet), None, None if host is None else [host], GRID, NOW_NS, most=3)
    assert [(item.vm, item.figures["seen"].total) for item in found.vms] == [
        (vm_id(number), number + 1) for number in reversed(numbers[-3:])
    ]
    assert found.others is not None
    assert (found.others.count, found.others.missing) == (len(numbers) - 3, 0)
    assert found.others.is_balanced
    seen = sum(number + 1 for number in numbers[:-3])
    assert found.others.totals == {
        name: seen for name in FIGURES if name in ("seen", "counted", "sampled_out")
    } | {name: 0 for name in FIGURES if name not in ("seen", "counted", "sampled_out")}


def test_one_of_many_others_that_lacks_something_is_noticed(fleet: Store) -> None:
    # Of this one a batch before was lost.
    entry = ledger_entry(vm_id(7), second=0, seen=1, seen_total=50)
    lacks = make_batch(
        99,
        host=make_host("host-1"),
        stream=f"{1:032x}",
        vms=[make_vm(vm_id(7), name=vm_id(7), uuid="")],
        fault_counts=[fault_count(vm_id(7))],
        ledger=[entry],
    )
    assert fleet.apply(lacks, NOW_NS)
    found = account(Sources.of(fleet), None, None, GRID, NOW_NS, most=3)
    assert found.others is not None
    assert (found.others.count, found.others.missing) == (NUMBER - 3, 50 - 8 - 1)


def test_one_of_many_others_of_which_too_much_is_stored_is_noticed(fleet: Store) -> None:
    more = make_batch(
        99,
        host=make_host("host-1"),
        stream=f"{1:032x}",
        vms=[make_vm(vm_id(7), name=vm_id(7), uuid="")],
        fault_counts=[fault_count(vm_id(7))],
        # Of the eight faults before and this one, seen by the programs were two.
        ledger=[ledger_entry(vm_id(7), second=0, seen=1, seen_total=2)],
    )
    assert fleet.apply(more, NOW_NS)
    found = account(Sources.of(fleet), None, None, GRID, NOW_NS, most=3)
    assert found.others is not None
    assert (found.others.missing, found.others.is_balanced) == (0, False)


@pytest.mark.parametrize("figure", ["counted", "sampled_out"])
def test_one_of_many_others_whose_figures_do_not_add_up_is_noticed(
    filled_file: Path, tmp_path: Path, figure: str
) -> None:
    # No batch that says so is taken: the database itself is wrong.
    path = tmp_path / "wrong.db"
    copy(filled_file, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"UPDATE ledger_1s SET {figure} = {figure} + 2 FROM vms WHERE vms.id = vm_id AND public_id = ?",
            (vm_id(7),),
        )
    with closing(open_store(f"sqlite:///{path}")) as store:
        found = account(Sources.of(store), None, None, GRID, NOW_NS, most=3)
    assert found.others is not None
    assert (found.others.missing, found.others.is_balanced) == (0, False)
    assert found.others.totals[figure] == found.others.totals["seen"] + 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda sources: account(sources, None, None, GRID, NOW_NS, most=3),
        lambda sources: sum(
            point.counters["faults"]
            for point in sources.store.fault_points(None, STEPS, split=Split(word=True), counters=("faults",))
        ),
        lambda sources: sum(
            point.count for point in sources.store.exit_points(None, ExitKind.MEMORY_FAULT, STEPS)
        ),
        lambda sources: sum(1 for _ in sources.store.vms_of(None, TimeRange())),
    ],
)
def test_vms_that_are_not_shown_are_not_kept(fleet: Store, ask: Callable[[Sources], object]) -> None:
    sources = Sources.of(fleet)
    ask(sources)
    tracemalloc.start()
    try:
        ask(sources)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500 * NUMBER
