# SPDX-License-Identifier: Apache-2.0
"""Events that are looked at from both sides of their tracepoints: counted once, whichever side is skipped.

A kernel on which programs cannot be preempted skips neither. So one is left out.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe import syscall
from collector.probe.handles import PERF, Handles
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import FORMATS, RecordLevel
from collector.probe.loading import load
from collector.probe.pinned import open_pinned
from collector.probe.plan import TRACEPOINTS, make_plan
from collector.probe.probes import Probes
from collector.probe.sides import Sides
from collector.probe.source import make_source
from demo.exact import ExactGuest, Order
from faultmodel.record import COUNTERS
from tests.kernel.attached import bytecode_of, own_vms, pinned
from tests.product import TOP

pytestmark = pytest.mark.kernel

ORDER = Order(write=5003, read=2001, execute=307, memory_fault=41, bare_error=23, vcpus=2)
RAW = frozenset(name.partition(":")[2] for names in TRACEPOINTS.values() for name in names)
PERF_SIDE = frozenset(f"{PERF}{name}" for name in RAW)


@dataclass(frozen=True)
class Seen:
    """What was counted of one guest that followed its order: by format and word, and by reason and errno."""

    faults: int
    words: dict[tuple[str, int], dict[str, int]]
    exits: dict[tuple[int, int], int]
    recorded: Counter[tuple[str, int]]
    recorded_exits: int
    lost: dict[str, int]
    looks: Mapping[str, int]


def _seen(headers_cache: Path, sides: Sides, without: Collection[str] = ()) -> Seen:
    """Let a guest follow its order, with the programs of these names loaded and not attached."""
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    source = make_source(plan)
    loaded = load(plan, source, headers, sides=sides, cache=bytecode_of(headers_cache))
    with Probes(_without(loaded.attach(plan.attach), without)) as probes:
        probes.record(RecordLevel.ALL, 0, {})
        probes.begin(source)
        reader = Reader(probes)
        with ExactGuest(ORDER) as guest:
            guest.follow("once")
            reading = reader.read()
        probes.pause()
        return _of_own(reading, probes)


def _without(handles: Handles, names: Collection[str]) -> Handles:
    kept = {name: fd for name, fd in handles.links.items() if name not in names}
    taken_off = {name: fd for name, fd in handles.links.items() if name in names}
    replace(handles, links=taken_off).detach()
    return replace(handles, links=kept)


def _of_own(reading: Reading, probes: Probes) -> Seen:
    (vm,) = own_vms(reading)
    words: dict[tuple[str, int], Counter[str]] = {}
    for key, counters in reading.fault_counts.items():
        if key[:2] == vm:
            of_word = words.setdefault((FORMATS[key.format], key.word), Counter())
            of_word.update(dict(zip(COUNTERS, counters, strict=True)))
    exits: Counter[tuple[int, int]] = Counter()
    for exit_key, count in reading.exit_counts.items():
        if exit_key[:2] == vm:
            exits[exit_key.reason, exit_key.errno] += count
    return Seen(
        faults=reading.accounts[vm].seen,
        words={key: {name: count for name, count in of.items() if count} for key, of in words.items()},
        exits=dict(exits),
        recorded=Counter((FORMATS[item.format], item.word) for item in reading.faults if item[:2] == vm),
        recorded_exits=sum(item[:2] == vm for item in reading.exits),
        lost={str(kind): count for kind, count in reading.lost.items()},
        looks=probes.raw_side_only(),
    )


@pytest.fixture(scope="module")
def by_one(headers_cache: Path) -> Seen:
    """As it is counted where programs run to their end."""
    return _seen(headers_cache, Sides.RAW)


@pytest.mark.alone
def test_with_both_sides_everything_is_counted_once_and_alike(headers_cache: Path, by_one: Seen) -> None:
    assert _seen(headers_cache, Sides.BOTH) == by_one
    assert by_one.lost == {}
    assert sum(by_one.recorded.values()) == by_one.faults


@pytest.mark.alone
def test_what_the_perf_side_is_skipped_for_the_raw_side_counts(headers_cache: Path, by_one: Seen) -> None:
    seen = _seen(headers_cache, Sides.BOTH, without=PERF_SIDE)
    assert (seen.words, seen.exits, seen.recorded, seen.lost) == (
        by_one.words,
        by_one.exits,
        by_one.recorded,
        {},
    )
    assert seen.looks["kvm_mmu_spte_requested"] >= by_one.faults - by_one.recorded_exits
    assert seen.looks["kvm_userspace_exit"] >= sum(by_one.exits.values())


@pytest.mark.alone
def test_what_the_raw_side_is_skipped_for_is_counted_without_what_it_alone_shows(
    headers_cache: Path, by_one: Seen
) -> None:
    seen = _seen(headers_cache, Sides.BOTH, without=RAW)
    assert seen.faults == by_one.faults
    assert seen.exits == by_one.exits
    assert seen.recorded_exits == by_one.recorded_exits
    # On PVM the word is among what only the raw side shows, and says which fault it was.
    assert sum(of["faults"] for of in seen.words.values()) == by_one.faults
    mapped = by_one.faults - by_one.recorded_exits
    assert sum(of.get("mapped_4k", 0) for of in seen.words.values()) == sum(
        of.get("mapped_4k", 0) for of in by_one.words.values()
    )
    assert sum(of.get("context_unknown", 0) for of in seen.words.values()) == mapped
    assert seen.lost == {}


def test_both_sides_are_pinned_and_count_on_without_the_process(headers_cache: Path, tmp_path: Path) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    source = make_source(plan)
    with Probes(load(plan, source, headers, sides=Sides.BOTH, cache=bytecode_of(headers_cache))) as probes:
        probes.attach(plan)
        probes.begin(source)
        with pinned(probes, tmp_path) as folder:
            probes.detach()
            with ExactGuest(ORDER) as guest, open_pinned(folder) as left:
                guest.follow("once")
                reading = Reader(left).read()
                assert left.handles.has_both_sides
    (vm,) = own_vms(reading)
    assert reading.accounts[vm].seen == sum(
        counters[0] for key, counters in reading.fault_counts.items() if key[:2] == vm
    )
    assert reading.accounts[vm].seen >= ORDER.write + ORDER.read + ORDER.execute
    assert reading.lost == {}


def test_a_kernel_with_types_needs_no_slower_way_for_both_sides(headers_cache: Path) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    source = make_source(plan)
    kinds = []
    for sides in (Sides.RAW, Sides.BOTH):
        loaded = load(plan, source, headers, sides=sides)
        kinds.append({name: syscall.program_kind(fd) for name, fd in loaded.programs.items()})
        loaded.close()
    by_one, by_both = kinds
    assert {name: kind for name, kind in by_both.items() if name in RAW} == by_one
    assert {kind for name, kind in by_both.items() if name not in RAW} == {syscall.PROG_TRACEPOINT}


LOAD_BOTH = """
import sys
from pathlib import Path
from collector.probe.loading import load
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.plan import TRACEPOINTS, make_plan
from collector.probe.sides import Sides
from collector.probe.source import make_source
headers = ensure_headers(Path(sys.argv[1]))
plan = make_plan(read_facts(headers))
loaded = load(plan, make_source(plan), headers, sides=Sides.BOTH)
print(loaded.has_both_sides, loaded.lacking)
"""


def test_without_tracefs_one_side_is_used_and_that_is_said(headers_cache: Path) -> None:
    ensure_headers(headers_cache)
    hidden = 'mount -t tmpfs none /sys/kernel/tracing; mount -t tmpfs none /sys/kernel/debug; exec "$@"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        hidden,
        "sh",
        sys.executable,
        "-c",
        LOAD_BOTH,
        str(headers_cache),
    ]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False programs can be preempted")
    assert "tracefs" in done.stdout
