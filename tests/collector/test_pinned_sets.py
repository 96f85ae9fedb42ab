# SPDX-License-Identifier: Apache-2.0
"""Whether a set that nobody reads is lost: only where it is sure that its collector does not come back."""

from pathlib import Path

import pytest

from collector.counting.pinned_sets import Owner, PinnedSet, own_mounts

NAME = "a" * 32
ELSEWHERE = "mnt:[1]"


def _set(data_dir: Path, *, host: str = "h1", mounts: str | None = None) -> PinnedSet:
    owner = Owner(host, str(data_dir), own_mounts() if mounts is None else mounts)
    return PinnedSet(Path("/sys/fs/bpf/kvmfaults") / NAME, owner)


def test_a_set_that_its_directory_names_is_expected(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text(NAME)
    assert _set(tmp_path).is_expected()


@pytest.mark.parametrize("name", ["", "b" * 32])
def test_a_set_that_its_directory_does_not_name_is_lost(tmp_path: Path, name: str) -> None:
    (tmp_path / "pins").write_text(name)
    assert not _set(tmp_path).is_expected()


def test_a_set_whose_directory_is_gone_is_lost(tmp_path: Path) -> None:
    assert not _set(tmp_path / "gone").is_expected()


def test_a_set_whose_directory_cannot_be_read_just_now_is_expected(tmp_path: Path) -> None:
    (tmp_path / "pins").mkdir()
    assert _set(tmp_path).is_expected()


def test_a_set_of_an_earlier_version_is_expected() -> None:
    assert PinnedSet(Path(NAME), None).is_expected()


def test_the_path_of_another_container_means_nothing_here(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("b" * 32)
    assert _set(tmp_path, mounts=ELSEWHERE).is_expected()
    assert _set(tmp_path, mounts=ELSEWHERE).is_expected(Owner("h2", str(tmp_path), own_mounts()))
    assert _set(tmp_path, mounts=ELSEWHERE).is_expected(Owner("h1", "/elsewhere", own_mounts()))


def test_a_container_made_anew_knows_that_what_its_lost_volume_named_is_lost(tmp_path: Path) -> None:
    assert not _set(tmp_path, mounts=ELSEWHERE).is_expected(Owner("h1", str(tmp_path), own_mounts()))
