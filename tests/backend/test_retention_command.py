# SPDX-License-Identifier: Apache-2.0
"""The command that shows and sets how long what is stored is kept."""

import sqlite3
from contextlib import closing

import pytest

from backend.__main__ import main
from backend.store import open_store
from backend.store.contract.retention import DEFAULT_S, FOR_EVER, Kept


def test_ages_are_shown_and_set(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("retention", "--database", database)
    assert main(command) == 0
    first, *_, records, unknown, size, bound = capsys.readouterr().out.splitlines()
    assert first.split() == ["1s", "counts", "in", "buckets", "of", "1s", "1d", "nothing", "removed", "yet"]
    assert records.split()[:5] == ["faults", "records", "of", "faults", "3d"]
    assert unknown.strip() == "not measured yet; a server does"
    assert size.startswith("the database takes ")
    assert bound.endswith("it may take 9,000,000,000")

    assert main((*command, "1min=30d", "exits=forever")) == 0
    printed = capsys.readouterr().out
    assert "30d" in printed
    assert "forever" in printed
    with closing(open_store(database)) as store:
        assert store.storage().levels[2].age_s == 30 * 86_400
        assert store.storage().exits.age_s is None
        store.set_ages(FOR_EVER)
    assert main((*command, "--max-bytes", "unlimited")) == 0
    assert "all is kept for ever" in capsys.readouterr().out
    assert main((*command, "--defaults", "1h=10y")) == 0
    with closing(open_store(database)) as store:
        levels = store.storage().levels
    assert levels[0].age_s == DEFAULT_S[Kept.COUNTS_1S]
    assert levels[4].age_s == 10 * 365 * 86_400
    assert main((*command, "--max-bytes", "20GB", "--defaults")) == 0
    assert "it may take 20,000,000,000" in capsys.readouterr().out
    assert main((*command, "--defaults")) == 0
    assert "it may take 9,000,000,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("1min", "'1min' is not NAME=AGE"),
        ("2min=1d", "NAME is one of 1s, 10s"),
        ("1s=5", "an age is forever, or a number with h, d, w or y"),
        ("1s=0h", "it can be 3600 to"),
        ("1s=4d", "keep 10s at least as long"),
        ("--max-bytes=10", "a size is unlimited, or a number with MB, GB or TB"),
        ("--max-bytes=1MB", "it can be 10,000,000 or more"),
    ],
)
def test_what_cannot_be_is_said(
    database: str, capsys: pytest.CaptureFixture[str], given: str, error: str
) -> None:
    assert main(("retention", given, "--database", database)) != 0
    assert error in capsys.readouterr().err


def test_a_file_of_an_earlier_release_is_written_anew_when_told_to(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA auto_vacuum = NONE; VACUUM;")
    command = ("retention", "--database", database)
    assert main(command) == 0
    assert "--compact writes it anew once" in capsys.readouterr().out
    assert main((*command, "--compact")) == 0
    printed = capsys.readouterr().out
    assert "bytes anew: that takes some 1 s" in printed
    assert "it gets smaller as things are removed" in printed
