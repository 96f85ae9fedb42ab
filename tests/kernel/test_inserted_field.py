# SPDX-License-Identifier: Apache-2.0
"""A field that is put into the middle of a structure of event.h changes nothing else: all is read by name."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import RecordLevel
from collector.probe.loading import load
from collector.probe.pinned import open_pinned
from collector.probe.plan import make_plan
from collector.probe.probes import Probes
from collector.probe.source import FOLDER, make_source
from demo.exact import ExactGuest, Order
from faultmodel.kinds import LossKind
from tests.kernel.attached import bytecode_of, own_vms, pinned

pytestmark = pytest.mark.kernel

ORDER = Order(write=503, read=201, execute=31, memory_fault=7, bare_error=5, vcpus=2)
_FIRST_MEMBER = re.compile(r"^(struct \w+ \{\n\t[^;]+;)", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """What was read of one guest that followed its order."""

    words: dict[tuple[int, int], tuple[int, ...]]
    exits: dict[tuple[int, int, int], int]
    records: list[tuple[int, ...]]
    exit_records: list[tuple[int, ...]]
    account: tuple[int, ...]
    comm: str
    lost: dict[LossKind, int]


@pytest.fixture
def inserted(tmp_path: Path) -> Path:
    """The programs, with a field more after the first of each structure that both sides know."""
    folder = tmp_path / "programs"
    shutil.copytree(FOLDER, folder)
    header = folder / "event.h"
    text, count = _FIRST_MEMBER.subn(r"\1\n\tu64 inserted;", header.read_text())
    assert count >= 12
    # A text in one piece is no structure of fields.
    header.write_text(text.replace("\tchar text[16384];\n\tu64 inserted;", "\tchar text[16384];"))
    return folder


@contextmanager
def _counting(headers_cache: Path, folder: Path) -> Iterator[Probes]:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    source = make_source(plan, folder=folder)
    with Probes(load(plan, source, headers, cache=bytecode_of(headers_cache))) as probes:
        probes.attach(plan)
        probes.record(RecordLevel.ALL, 0, {})
        probes.begin(source)
        yield probes


def _seen(reading: Reading) -> Seen:
    """Without what differs from guest to guest: addresses, and times."""
    (vm,) = own_vms(reading)
    faults = [record for record in reading.faults if record[:2] == vm]
    exits = [record for record in reading.exits if record[:2] == vm]
    account = reading.accounts[vm]
    return Seen(
        words={(key.vcpu, key.word): of for key, of in reading.fault_counts.items() if key[:2] == vm},
        exits={key[2:]: count for key, count in reading.exit_counts.items() if key[:2] == vm},
        records=sorted((one.vcpu, one.word, one.level, one.memslot, one.nested) for one in faults),
        exit_records=sorted((one.vcpu, one.reason, one.errno, one.flags, one.size) for one in exits),
        account=(account.seen, account.recorded, account.dropped, account.seen_total),
        comm=reading.vms[vm].comm,
        lost=dict(reading.lost),
    )


def _read_twice(probes: Probes) -> list[Seen]:
    """What a reader finds, and what its successor does that goes on from where it noted to have been."""
    found = []
    with ExactGuest(ORDER) as guest:
        for part in ("first", "second"):
            guest.follow(part)
            reading = Reader(probes).read()
            probes.commit(reading.checkpoint)
            found.append(_seen(reading))
    return found


@pytest.mark.alone
def test_it_changes_nothing_that_is_counted(headers_cache: Path, inserted: Path) -> None:
    with _counting(headers_cache, FOLDER) as probes:
        expected = _read_twice(probes)
        size = probes.views.vcpu.size
    with _counting(headers_cache, inserted) as probes:
        assert _read_twice(probes) == expected
        # One in vcpu_counts, one in its vm_key, and one in each syndrome, its counters and each exit.
        assert probes.views.vcpu.size > size + 8 * 8
    assert expected[0].account[0] >= ORDER.write + ORDER.read + ORDER.execute
    assert expected[0].lost == {}


def test_a_set_is_read_on_by_the_layout_that_is_pinned_with_it(
    headers_cache: Path, inserted: Path, tmp_path: Path
) -> None:
    with _counting(headers_cache, inserted) as probes, pinned(probes, tmp_path) as folder:
        first = _read_of_one(probes)
        with open_pinned(folder) as left:
            second = _read_of_one(left)
            vms = {vm for vm, record in left.vms().items() if record.tgid == os.getpid()}
            left.forget(vms)
            assert len(vms) == 2
            assert not vms & set(left.vms())
    assert (first.words, first.exits) == (second.words, second.exits)


def _read_of_one(probes: Probes) -> Seen:
    reader = Reader(probes)
    with ExactGuest(ORDER) as guest:
        guest.follow("once")
        reading = reader.read()
        probes.commit(reading.checkpoint)
    vm = max(own_vms(reading), key=lambda vm: reading.vms[vm].first_monotonic_ns)
    only = {key: record for key, record in reading.vms.items() if key == vm}
    return _seen(replace(reading, vms=only))
