# SPDX-License-Identifier: Apache-2.0
"""Files with tokens."""

import os
import stat
from pathlib import Path

import pytest

from backend.auth import TokenKind, find_token
from backend.errors import SettingError
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from backend.token_file import create_token_file


def create(store: Store, path: Path, *, host: str | None = "host-1", if_missing: bool = False) -> bool:
    """Make an ingest token of host-1, or a read token where there is no host."""
    kind = TokenKind.READ if host is None else TokenKind.INGEST
    return create_token_file(store, kind, host, path, if_missing=if_missing)


def known(store: Store, path: Path) -> Token | None:
    """Return what the store knows of the token in a file."""
    return find_token(store, path.read_text().strip())


def test_only_the_owner_can_read_the_file_whatever_the_umask(store: Store, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert create(store, tmp_path / "token")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*token*")] == ["token"]


def test_the_store_knows_the_hash_and_not_the_token(store: Store, tmp_path: Path) -> None:
    create(store, tmp_path / "token")
    token = (tmp_path / "token").read_text().strip()
    assert token.startswith("kvmfaults_ingest_")
    (stored,) = store.tokens()
    assert (stored.kind, stored.host) == ("ingest", "host-1")
    assert token not in stored.sha256
    assert known(store, tmp_path / "token") == stored


def test_a_read_token_is_of_no_host(store: Store, tmp_path: Path) -> None:
    create(store, tmp_path / "token", host=None)
    (stored,) = store.tokens()
    assert (stored.kind, stored.host) == ("read", None)


def test_a_file_that_is_there_is_not_replaced(store: Store, tmp_path: Path) -> None:
    create(store, tmp_path / "token")
    before = (tmp_path / "token").read_text()
    with pytest.raises(SettingError, match="is there already; --if-missing keeps it"):
        create(store, tmp_path / "token")
    assert (tmp_path / "token").read_text() == before


def test_if_missing_keeps_the_token(store: Store, tmp_path: Path) -> None:
    create(store, tmp_path / "token")
    before = (tmp_path / "token").read_text()
    assert not create(store, tmp_path / "token", if_missing=True)
    assert (tmp_path / "token").read_text() == before
    assert len(store.tokens()) == 1


def test_if_missing_makes_a_kept_token_known_to_a_new_database(store: Store, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kvmfaults_ingest_of_an_earlier_database\n")
    assert not create(store, tmp_path / "token", if_missing=True)
    token = known(store, tmp_path / "token")
    assert token is not None
    assert (token.kind, token.host) == ("ingest", "host-1")


def test_a_kept_token_of_another_host_is_refused(store: Store, tmp_path: Path) -> None:
    create(store, tmp_path / "token")
    with pytest.raises(SettingError, match="the file holds a token of kind ingest of host host-1"):
        create(store, tmp_path / "token", host="host-2", if_missing=True)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff", b"x" * 600])
def test_a_kept_file_that_holds_no_token_is_refused(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(SettingError, match="does not hold a token"):
        create(store, tmp_path / "token", if_missing=True)
    assert store.tokens() == []


def test_a_kept_token_that_could_be_guessed_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kvmfaults\n")
    with pytest.raises(SettingError, match="holds less than 32 characters"):
        create(store, tmp_path / "token", if_missing=True)
    assert store.tokens() == []


def test_a_folder_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere/token cannot be written: No such file or directory"):
        create(store, tmp_path / "nowhere" / "token")
    assert store.tokens() == []
