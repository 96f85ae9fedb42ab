# SPDX-License-Identifier: Apache-2.0
"""kvmfaults-server copy: what it says, and with which status it ends."""

from contextlib import closing
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.store import open_store
from backend.store.contract.values import TimeRange
from tests.batches import START_NS, VM_ID, fault_count, make_batch


@pytest.fixture
def target(tmp_path: Path) -> str:
    """Return the URL of a database that is not there yet."""
    path = tmp_path / "target.db"
    path.touch(mode=0o600)  # Another mode is warned of.
    return f"sqlite:///{path}"


def test_a_copy_is_shown_and_whole(database: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(open_store(database)) as store:
        store.apply(make_batch(fault_counts=[fault_count(faults=7)]), START_NS)

    assert main(["copy", "--from", database, "--to", target]) == 0

    shown = capsys.readouterr()
    assert "fault_counts_1s: 1 of 1 rows" in shown.err
    assert "totals are equal" in shown.out
    with closing(open_store(target)) as store:
        store.check_schema()
        assert store.vm(VM_ID, TimeRange()).faults == 7


def test_what_cannot_be_copied_is_said(
    database: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["copy", "--from", database, "--to", database]) == 2
    assert "the same database" in capsys.readouterr().err
    assert main(["copy", "--from", target, "--to", database]) == 2
    assert "no tables of kvmfaults yet" in capsys.readouterr().err
    with closing(open_store(database)) as store:
        store.apply(make_batch(), START_NS)
    assert main(["copy", "--from", database, "--to", target]) == 0
    capsys.readouterr()
    assert main(["copy", "--from", database, "--to", target]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["copy", "--from", database, "--to", target, "--to-series", "mysql://x/y"]) == 2
    assert "no store for mysql://; there is clickhousedb://" in capsys.readouterr().err
