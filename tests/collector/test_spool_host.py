# SPDX-License-Identifier: Apache-2.0
"""A host that is renamed: what counts for the old name waits apart, and goes when the name comes back."""

from pathlib import Path

import pytest

from collector.batches.outbox import Outbox
from collector.spool.host import part_by_host
from collector.spool.queue import Spool
from faultmodel import wire
from faultmodel.kinds import CheckState
from faultmodel.record import Check
from faultmodel.sections import Content
from tests.batches import ledger_entry, make_batch, make_host, make_vm
from tests.collector.spooling import BLOCK, drain


def _batch(host: str, sequence: int = 0) -> bytes:
    return wire.encode(make_batch(sequence, host=make_host(host)))


def _hosts(batches: list[bytes]) -> list[str]:
    return [wire.decode(batch).host.name for batch in batches]


def test_batches_of_another_name_let_those_of_this_one_go(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        part_by_host(spool, "h1")
        for sequence in range(7):
            spool.put(_batch("h1", sequence))
    with Spool(tmp_path) as spool:
        part_by_host(spool, "h2")
        spool.put(_batch("h2"))
        assert _hosts(drain(spool)) == ["h2"]
        assert (len(spool.aside), spool.dropped_batches) == (7, 0)
        assert {reason.detail for reason in spool.aside.values()} == {"it counts for host 'h1'"}
    with Spool(tmp_path) as spool:
        part_by_host(spool, "h1")
        assert _hosts(drain(spool)) == ["h1"] * 7
        assert spool.aside == {}


def test_a_spool_that_does_not_say_whose_it_was_is_looked_through(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(_batch("h1"))
        spool.put(b"no batch")
        spool.put(_batch("h2"))
        part_by_host(spool, "h2")
        assert drain(spool) == [b"no batch", _batch("h2")]


@pytest.mark.parametrize("name", ["h1", "ein Wirt mit ä", "x" * 256])
def test_the_same_name_changes_nothing(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with Spool(tmp_path) as spool:
            part_by_host(spool, name)
            spool.put(_batch(name))
    with Spool(tmp_path) as spool:
        part_by_host(spool, name)
        assert _hosts(drain(spool)) == [name] * 2


def test_what_a_host_lost_is_not_reported_of_another(tmp_path: Path) -> None:
    content = Content(vms=(make_vm(),), ledger=(ledger_entry(seen=7),))
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        Outbox(spool, "x86_64").send(make_host("h1"), content, counting="c" * 32)
        Outbox(spool, "x86_64").send(make_host("h1"), Content(), counting="c" * 32)
    with Spool(tmp_path) as spool:
        drain(spool)
        Outbox(spool, "x86_64").send(make_host("h2"), Content())
        assert [wire.decode(batch).vms for batch in drain(spool)] == [()]
        Outbox(spool, "x86_64").send(make_host("h1"), Content())
        assert [len(wire.decode(batch).vms) for batch in drain(spool)] == [1, 0]


def test_the_host_reports_how_many_are_put_aside_and_why(tmp_path: Path) -> None:
    no_bpffs = Check(name="pins", state=CheckState.LACKING, found="no bpffs")
    with Spool(tmp_path) as spool:
        spool.put(_batch("h1"))
        part_by_host(spool, "h2")
        Outbox(spool, "x86_64").send(make_host("h2", checks=(no_bpffs,)), Content())
        (sent,) = drain(spool)
    before, aside = wire.decode(sent).host.checks
    assert before == no_bpffs
    assert (aside.state, aside.found) == (
        CheckState.LACKING,
        "1 batch is put aside (it counts for host 'h1')",
    )
    assert aside.remedy == "see kvmfaults-collector spool list"
