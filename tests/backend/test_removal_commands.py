# SPDX-License-Identifier: Apache-2.0
"""Commands that list hosts and remove what is stored: they say what is there before and after."""

import re
from contextlib import closing

import pytest

from backend.__main__ import main
from backend.auth import TokenKind
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.contract.values import TimeRange
from tests.backend.serving import make_server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, fault_count, make_batch, make_host

OTHER_VM = "00000000000000b2"
NEW_VM = "00000000000000c3"
TOKEN = "a" * 64


@pytest.fixture
def filled(database: str) -> str:
    """Return the URL of a database with two hosts, of which a token brought one."""
    with closing(open_store(database)) as store:
        store.add_token(Token(TOKEN, TokenKind.INGEST, "b"))
        store.add_token(Token("c" * 64, TokenKind.INGEST, "absent"))
        first = make_batch(host=make_host("a", boot_id="a"), fault_counts=[fault_count(faults=1234)])
        store.apply(first, START_NS)
        second = make_batch(
            host=make_host("b", boot_id="b"), stream="6" * 32, fault_counts=[fault_count(OTHER_VM, faults=50)]
        )
        store.apply(second, START_NS, TOKEN)
    return database


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command and return its exit status and what it printed."""
    status = main(arguments)
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def names(database: str) -> list[str]:
    """Return the hosts' names."""
    with closing(open_store(database)) as store:
        return [host.name for host in store.hosts()]


def test_hosts_are_listed_with_what_is_wrong(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "host", "list", "--database", filled)
    assert status == 0
    lines = printed.splitlines()
    assert re.match(r"a  attached +1 VM +1,234 faults  last batch 2027-01-15T08:00:00Z", lines[0])
    assert lines[1].startswith("b  ")
    assert "! never_delivered: absent" in lines[2:]


def test_a_host_is_removed_when_it_is_confirmed(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("host", "remove", "b", "--database", filled)
    assert run(capsys, *command) == (
        0,
        "host b: 1 VM, 50 faults, 1 batch\nnothing is removed yet; --yes removes it for good\n",
    )
    assert names(filled) == ["a", "b"]
    status, printed = run(capsys, *command, "--yes")
    assert status == 0
    assert printed.splitlines()[:2] == [
        "host b: 1 VM, 50 faults, 1 batch",
        "removed; there are left: 1 host, 1 VM, 1,234 faults, 1 batch",
    ]
    assert "token revoke --kind ingest --host b" in printed
    assert names(filled) == ["a"]


def test_a_vm_is_removed_when_it_is_confirmed(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("vm", "remove", VM_ID, "--database", filled)
    status, printed = run(capsys, *command)
    assert (status, printed.splitlines()[0]) == (0, f"VM {VM_ID} (guest) of host a: 1,234 faults")
    status, printed = run(capsys, *command, "--yes")
    assert status == 0
    assert "left: 2 hosts, 1 VM, 50 faults, 2 batches" in printed
    with closing(open_store(filled)) as store:
        assert set(dict(store.vms_of(None, TimeRange()))) == {OTHER_VM}


def test_what_a_token_brought_is_found_and_removed(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "token", "brought", "--id", "aaaa", "--database", filled)
    assert status == 0
    assert printed.splitlines() == [
        "token aaaaaaaaaaaa alone brought:",
        "  host b: 1 VM, 50 faults, 1 batch",
        f"  VM {OTHER_VM}: 50 faults",
    ]
    # Also once it is revoked.
    assert run(capsys, "token", "revoke", "--id", "aaaa", "--database", filled)[0] == 0
    command = ("token", "remove-brought", "--id", "aaaa", "--database", filled)
    assert "nothing is removed yet" in run(capsys, *command)[1]
    assert names(filled) == ["a", "b"]
    status, printed = run(capsys, *command, "--yes")
    assert status == 0
    assert "removed; there are left: 1 host, 1 VM, 1,234 faults, 1 batch" in printed
    assert names(filled) == ["a"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("host", "remove", "nobody"), "no host 'nobody'"),
        (("vm", "remove", "00000000000000ff"), "no VM '00000000000000ff'"),
        (("token", "brought", "--id", "ffff"), "no tokens that brought something begin with ffff"),
        (("token", "remove-brought", "--id", "x"), "'x' is not 4 to 64 digits"),
    ],
)
def test_what_is_not_there_is_said(
    filled: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    status, printed = run(capsys, *arguments, "--database", filled)
    assert status == 2
    assert said in printed


def test_a_server_that_runs_meanwhile_shows_nothing_of_what_was_removed(
    filled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"from_": START_MS, "to": START_MS + 400_000, "sort": "faults", "totals": True}
    charted = {"from_": START_MS, "to": START_MS + 400_000, "step": "100s"}
    with closing(open_store(filled)) as store:
        server = make_server(store)
        server.clock.now_ns = START_NS + 300 * NS_PER_S
        before = server.get("/api/v1/rates", **charted)
        assert {item["id"]: item["faults"] for item in server.get("/api/v1/vms", **asked)["items"]} == {
            VM_ID: 1234,
            OTHER_VM: 50,
        }
        assert run(capsys, "host", "remove", "b", "--yes", "--database", filled)[0] == 0
        # It delivers as often as the removed one had been changed, before anybody looks.
        for number in range(5):
            at_s = 200 + number
            counts = [fault_count(NEW_VM, second=at_s)]
            server.apply(make_batch(number, host=make_host("c"), stream="7" * 32, fault_counts=counts))
        listed = server.get("/api/v1/vms", **asked)
        assert {item["id"]: item["faults"] for item in listed["items"]} == {VM_ID: 1234, NEW_VM: 5}
        assert listed["totals"]["faults"] == 1239
        rates = server.get("/api/v1/rates", **charted)
        assert {series["key"]: series["counts"] for series in rates["series"]} == {
            VM_ID: [1234, 0, 0, 0],
            NEW_VM: [0, 0, 5, 0],
        }
        # A page that has the state before is answered all anew.
        assert len(server.get("/api/v1/rates", **charted, after=before["version"])["times_ms"]) == 4
