# SPDX-License-Identifier: Apache-2.0
"""What is covered where one set of programs ends, and another follows or none does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.counting.pins import Pins
from collector.counting.predecessor import Predecessor
from collector.counting.reader import Reader
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.instant import Instant, now
from collector.probe.loading import load
from collector.probe.plan import make_plan
from collector.probe.probes import Probes
from collector.probe.source import make_source
from collector.spool.queue import Spool
from tests.kernel.attached import attached, bytecode_of, mounted_bpffs

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def left(headers_cache: Path) -> Iterator[Probes]:
    """Programs that count, to be left behind."""
    with attached(headers_cache) as probes:
        yield probes


@contextmanager
def _predecessor(left: Probes, directory: Path) -> Iterator[Predecessor]:
    """Take over what was left behind, as the next collector of a data directory does."""
    with mounted_bpffs(directory / "bpf") as bpffs, Spool(directory / "spool") as spool:
        pins = Pins(directory / "pins", bpffs, "host")
        assert pins.keep(left, 0) is None
        predecessor = Predecessor(pins, "host")
        predecessor.open(spool)
        try:
            yield predecessor
        finally:
            predecessor.abandon(is_for_successor=False)


def _read_last(probes: Probes, *, until: Instant, is_covered: bool, is_anew: bool) -> None:
    reading = Reader(probes).read(until)
    assert reading.to_ns == until.utc_ns
    assert reading.from_ns < reading.to_ns


def test_the_next_set_covers_the_time_from_where_the_last_one_ends(
    left: Probes, headers_cache: Path, tmp_path: Path
) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    source = make_source(plan)
    cache = bytecode_of(headers_cache)
    with (
        _predecessor(left, tmp_path) as predecessor,
        Probes(load(plan, source, headers, predecessor=predecessor.handles, cache=cache)) as probes,
    ):
        probes.attach(plan)
        before = now()
        ended = predecessor.begin(probes, source)
        begun = probes.last_checkpoint()
        assert before.monotonic_ns <= ended.until.monotonic_ns <= now().monotonic_ns
        assert (begun.monotonic_ns, begun.utc_ns) == (ended.until.monotonic_ns, ended.until.utc_ns)
        assert ended.is_covered
        predecessor.drain(ended, _read_last)


@pytest.mark.parametrize("was_paused", [False, True], ids=["counting", "paused"])
def test_where_no_guest_can_run_only_what_counted_until_then_is_covered(
    left: Probes, headers_cache: Path, tmp_path: Path, was_paused: bool
) -> None:
    left.begin(make_source(make_plan(read_facts(ensure_headers(headers_cache)))))
    with _predecessor(left, tmp_path) as predecessor:
        if was_paused:
            left.pause()
        ended = predecessor.stop()
        assert ended.is_covered is not was_paused
        predecessor.drain(ended, _read_last)
