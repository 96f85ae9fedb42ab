# SPDX-License-Identifier: Apache-2.0
"""The command that lets a server go on whose clock was ahead."""

import time
from contextlib import closing

import pytest

from backend.__main__ import main
from backend.store import open_store
from faultmodel.record import Span
from tests.batches import NS_PER_S, make_batch, make_host

DAY_NS = 86_400 * NS_PER_S


def test_a_clock_that_was_ahead_is_believed_when_that_is_confirmed(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead_ns = time.time_ns() + 365 * DAY_NS
    covered = (Span(ahead_ns - NS_PER_S, ahead_ns),)
    with closing(open_store(database)) as store:
        store.apply(make_batch(host=make_host("a")), ahead_ns)
        store.apply(make_batch(host=make_host("b"), covered=covered, stream="6" * 32), ahead_ns)
    command = ("clock", "reset", "--database", database)

    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "nothing is changed yet" in printed
    assert "host b has counts up to" in printed

    assert main(("host", "list", "--database", database)) == 0
    assert "! server_clock: the server's clock says" in capsys.readouterr().out

    assert main((*command, "--yes")) == 0
    assert "batches are taken again" in capsys.readouterr().out
    with closing(open_store(database)) as store:
        assert store.newest_received_ns() <= time.time_ns()
        assert store.apply(make_batch(1, host=make_host("a")), time.time_ns())
