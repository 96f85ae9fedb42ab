# SPDX-License-Identifier: Apache-2.0
"""Every way of writing that the benchmark compares leaves the same rows behind."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from bench.writing.content import Content, Counts, Records, host_of
from bench.writing.table import lines
from bench.writing.turns import measure, sustain
from bench.writing.ways import Taken, Way, bare_driver, server, store_alone

HOSTS = [host_of(number).name for number in range(2)]
WAYS: dict[str, Callable[[str, Content], AbstractContextManager[Way]]] = {
    "bare": lambda url, content: bare_driver("bare", url, content),
    "store": lambda url, _: store_alone("store", url),
    "server": lambda url, _: server("server", url, HOSTS, at_once=False),
    "server, at once": lambda url, _: server("server", url, HOSTS, at_once=True),
}
CONTENTS: dict[str, Content] = {"counts": Counts(vms=2, vcpus=3, words=5), "records": Records(records=30)}


def _stored(path: Path, content: Content) -> Sequence[tuple[object, ...]]:
    """Return what every way stores alike: numbers of VMs and positions are each database's own."""
    own = ("vm_id", "position")
    names = [column.name for column in content.table.columns if column.name not in own]
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute(f"SELECT {', '.join(names)} FROM {content.table.name}"))


def _write(way: str, path: Path, content: Content) -> Sequence[Taken]:
    with WAYS[way](f"sqlite:///{path}", content) as opened:
        taken = measure([opened], content, hosts=len(HOSTS), turns=2, batches=4, say=lambda _: None)
    return next(iter(taken.values()))


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_every_way_writes_what_the_bare_driver_writes(way: str, content: Content, tmp_path: Path) -> None:
    taken = _write(way, tmp_path / "way.db", content)
    _write("bare", tmp_path / "bare.db", content)

    assert len(taken) == 2
    assert all(turn.wall_s > 0 for turn in taken)
    rows = _stored(tmp_path / "way.db", content)
    # The turn that is not counted is written too.
    assert len(rows) == 3 * 4 * content.rows_per_batch
    assert rows == _stored(tmp_path / "bare.db", content)


def test_records_of_one_vm_are_written_to_the_last(tmp_path: Path) -> None:
    content = CONTENTS["records"]
    with server("server", f"sqlite:///{tmp_path / 'one.db'}", HOSTS[:1], at_once=False) as way:
        line = sustain(way, content, records=100, say=lambda _: None)

    assert line.startswith("120 records of one VM in ")
    assert len(_stored(tmp_path / "one.db", content)) == 120


def test_the_table_compares_each_turn_with_the_bare_drivers() -> None:
    bare = [Taken(wall_s=1.0, cpu_s=1.0), Taken(wall_s=2.0, cpu_s=1.0), Taken(wall_s=3.0, cpu_s=1.0)]
    twice = [Taken(wall_s=2 * turn.wall_s, cpu_s=4.0) for turn in bare]

    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines({"a": bare, "b": twice}, 600)]
    assert cells[2] == ["a", "300", "250 to 450", "", "", "1666.67", ""]
    assert cells[3] == ["b", "150", "125 to 225", "0.50", "0.50 to 0.50", "6666.67", "0.25"]
