# SPDX-License-Identifier: Apache-2.0
"""Tokens listed and taken away."""

import pytest

from backend.__main__ import main
from backend.auth import TokenKind, hash_token
from backend.store.contract.store import Store
from tests.backend.serving import Server, make_server
from tests.batches import make_batch

VMS = "/api/v1/vms"


@pytest.fixture
def guarded(store: Store) -> Server:
    """Return a server whose readers need tokens."""
    return make_server(store, host="0.0.0.0")


def text_of(headers: dict[str, str]) -> str:
    """Return the token that a header shows."""
    return headers["Authorization"].removeprefix("Bearer ")


def run(database: str, *arguments: str) -> int:
    """Run a subcommand of token."""
    return main(["token", *arguments, "--database", database])


def test_the_list_has_ids_kinds_and_hosts_and_no_token(
    capsys: pytest.CaptureFixture[str], guarded: Server, database: str
) -> None:
    ingest = text_of(guarded.new_token(TokenKind.INGEST, "host-1"))
    read = text_of(guarded.new_token(TokenKind.READ))
    assert run(database, "list") == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        [f"{hash_token(ingest)[:12]}  ingest  host-1", f"{hash_token(read)[:12]}  read    -"]
    )


def test_a_revoked_token_and_its_sessions_read_no_more(guarded: Server, database: str) -> None:
    gone, kept = guarded.new_token(TokenKind.READ), guarded.new_token(TokenKind.READ)
    login = guarded.request("POST", "/api/v1/session", json={"token": text_of(gone)})
    assert login.status_code == 200
    assert guarded.request("GET", VMS).status_code == 200

    assert run(database, "revoke", "--id", hash_token(text_of(gone))[:12]) == 0

    assert guarded.request("GET", VMS).status_code == 401
    assert guarded.request("GET", VMS, headers=gone).status_code == 401
    assert guarded.request("GET", VMS, headers=kept).status_code == 200


def test_the_tokens_of_one_host_are_revoked(
    capsys: pytest.CaptureFixture[str], guarded: Server, database: str
) -> None:
    gone = guarded.new_token(TokenKind.INGEST, "host-1")
    guarded.new_token(TokenKind.INGEST, "host-2")
    read = guarded.new_token(TokenKind.READ)
    assert run(database, "revoke", "--kind", "ingest", "--host", "host-1") == 0
    assert capsys.readouterr().out == f"revoked {hash_token(text_of(gone))[:12]}  ingest  host-1\n"
    assert guarded.send(make_batch(), gone).status_code == 401
    assert [token.host for token in guarded.store.tokens() if token.kind == "ingest"] == ["host-2"]
    assert guarded.request("GET", VMS, headers=read).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--id", "abcd"), "no tokens begin with abcd; kvmfaults-server token list"),
        (("--id", "a"), "'a' is not 4 to 64 digits of a token's hash; kvmfaults-server token list"),
        (("--kind", "ingest", "--host", "host-9"), "there is no ingest token of host host-9"),
        (("--kind", "read"), "there is no read token"),
        (("--kind", "read", "--host", "x"), "--host goes with --kind ingest: other tokens are of no host"),
    ],
)
def test_what_cannot_be_revoked_is_said(
    capsys: pytest.CaptureFixture[str], database: str, arguments: tuple[str, ...], line: str
) -> None:
    assert run(database, "revoke", *arguments) == 2
    assert capsys.readouterr().err == f"kvmfaults-server: {line}\n"
