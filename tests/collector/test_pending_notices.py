# SPDX-License-Identifier: Apache-2.0
"""The drop notice of a dropped batch is kept until a later batch carries it."""

import os
from pathlib import Path

import pytest

from collector.spool.entry import Parcel
from collector.spool.queue import Spool
from tests.collector.spooling import BLOCK, drain, files, parcels


def _drop_one(directory: Path) -> None:
    with Spool(directory, max_bytes=BLOCK) as spool:
        spool.put_group([Parcel(b"1", drop_notice=b"one")])
        spool.put_group([Parcel(b"2", drop_notice=b"two")])
        assert spool.pending_notices == {1: b"one"}


def test_drop_notices_are_kept_across_restarts_until_a_batch_carries_them(tmp_path: Path) -> None:
    _drop_one(tmp_path)
    with Spool(tmp_path) as spool:
        assert spool.pending_notices == {1: b"one"}
        spool.put_group(parcels(b"3"), carrying=spool.pending_notices)
        assert spool.pending_notices == {}
    with Spool(tmp_path) as spool:
        assert spool.pending_notices == {}
        assert drain(spool) == [b"2", b"3"]
    assert list(tmp_path.glob("*.words")) == []


def test_a_batch_that_carries_drop_notices_and_is_dropped_has_them_in_its_own(tmp_path: Path) -> None:
    _drop_one(tmp_path)
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        carrier = Parcel(b"x" * 2 * BLOCK, drop_notice=b"one, too")
        assert not spool.put_group([carrier], carrying=spool.pending_notices)
        assert list(spool.pending_notices.values()) == [b"two", b"one, too"]


def test_a_batch_that_was_delivered_leaves_nothing(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group([Parcel(b"1", drop_notice=b"one")])
        assert drain(spool) == [b"1"]
        assert spool.pending_notices == {}


def test_a_drop_that_was_stopped_before_the_file_was_cut_leaves_its_drop_notice(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put_group([Parcel(b"1", drop_notice=b"one")])
        (first,) = files(tmp_path)
        content = first.read_bytes()
        spool.put(b"2")
    (tmp_path / f"{1:020d}.words").unlink()
    first.write_bytes(content)
    with Spool(tmp_path) as spool:
        assert (spool.pending_notices, spool.dropped_batches) == ({1: b"one"}, 1)
        assert drain(spool) == [b"2"]


@pytest.mark.parametrize("kept", range(0, 31, 5))
def test_a_file_without_its_front_leaves_nothing(tmp_path: Path, kept: int) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group([Parcel(b"1", drop_notice=b"words")])
        os.truncate(files(tmp_path)[0], kept)
        assert (drain(spool), spool.dropped_batches, spool.pending_notices) == ([], 1, {})


def test_drop_notices_that_are_damaged_are_deleted(tmp_path: Path) -> None:
    _drop_one(tmp_path)
    (words,) = tmp_path.glob("*.words")
    os.truncate(words, 10)
    with Spool(tmp_path) as spool:
        assert spool.pending_notices == {}
    assert not words.exists()
