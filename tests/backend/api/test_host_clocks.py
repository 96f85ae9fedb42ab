# SPDX-License-Identifier: Apache-2.0
"""Clocks of hosts and of the server that differ: who is wrong, as far as that can be known, is said."""

from email.utils import formatdate
from typing import Any

import pytest

from backend.auth import TokenKind
from backend.host_clocks import HostClocks, sent_ns
from faultmodel.record import Span
from faultmodel.units import NS_PER_S
from tests.backend.serving import Server
from tests.batches import START_NS, fault_count, make_batch, make_host, make_vm

YEAR_S = 365 * 86_400
NOW_S = START_NS // NS_PER_S + 60


def hand_in(server: Server, name: str, *, says_s: float, sequence: int = 0) -> None:
    """Hand in a host's batch of ``START_NS``, sent when its clock says so."""
    token = server.new_token(TokenKind.INGEST, name)
    number = int(name.rpartition("-")[2])
    vm_id = f"{number:016x}"
    batch = make_batch(
        sequence,
        host=make_host(name),
        stream=f"{number:032x}",
        vms=[make_vm(vm_id)],
        fault_counts=[fault_count(vm_id, second=sequence)],
        covered=(Span(START_NS + sequence * NS_PER_S, START_NS + (sequence + 1) * NS_PER_S),),
    )
    assert server.send(batch, {**token, "Date": formatdate(says_s, usegmt=True)}).status_code == 200


def findings(server: Server) -> list[tuple[str, list[str], Any]]:
    """Return what is said of clocks: the code, the hosts, and by how many days they differ."""
    found = server.get("/api/v1/status")["findings"]
    return [
        (item["code"], item["hosts"], round(item["seconds"] / 86_400))
        for item in found
        if "clock" in item["code"]
    ]


def test_a_server_whose_clock_is_ahead_of_most_hosts_says_so_and_goes_on(server: Server) -> None:
    server.clock.now_ns += YEAR_S * NS_PER_S
    for name in ("host-1", "host-2"):
        hand_in(server, name, says_s=NOW_S)
    hand_in(server, "host-3", says_s=NOW_S + YEAR_S)
    assert findings(server) == [("server_clock_ahead", [], 365)]
    (found,) = [
        item for item in server.get("/api/v1/status")["findings"] if item["code"] == "server_clock_ahead"
    ]
    assert "2028-01-15T08:01:00Z" in found["detail"]
    assert "2 of 3 hosts" in found["detail"]
    # What hosts counted is where their clocks say, and it stays there.
    assert server.get("/api/v1/vms/0000000000000001")["faults"] == 1
    server.clock.now_ns -= YEAR_S * NS_PER_S
    for name in ("host-1", "host-2", "host-3"):
        hand_in(server, name, says_s=NOW_S, sequence=1)
    assert findings(server) == []
    for vm in server.get("/api/v1/vms")["items"]:
        assert vm["last_seen"].startswith("2027-01-15T08:00:02")


def test_of_one_host_and_the_server_it_is_not_known_who_is_wrong(server: Server) -> None:
    hand_in(server, "host-1", says_s=NOW_S - YEAR_S)
    assert findings(server) == [("clock_behind", ["host-1"], 365)]


def test_one_host_of_several_whose_clock_is_behind_is_named(server: Server) -> None:
    for name, behind_s in (("host-1", 0), ("host-2", YEAR_S), ("host-3", 0)):
        hand_in(server, name, says_s=NOW_S - behind_s)
    assert findings(server) == [("clock_behind", ["host-2"], 365)]


def test_clocks_that_are_not_set_say_nothing_of_the_servers(server: Server) -> None:
    for name in ("host-1", "host-2", "host-3"):
        hand_in(server, name, says_s=100)
    assert {code for code, *_ in findings(server)} == {"clock_behind"}


def test_what_waited_for_long_says_nothing_of_clocks(server: Server) -> None:
    server.clock.now_ns += YEAR_S * NS_PER_S
    for name in ("host-1", "host-2"):
        hand_in(server, name, says_s=NOW_S + YEAR_S)
    assert findings(server) == []


@pytest.mark.parametrize(
    "date", [None, "", "now", "Fri, 99 Jan 2027 08:00:00 GMT", "Mon, 01 Jan 99999 00:00:00 GMT"]
)
def test_what_is_no_date_says_nothing(date: str | None) -> None:
    assert sent_ns(date) is None


def test_a_clock_that_was_not_heard_of_lately_says_nothing() -> None:
    monotonic = [0]
    clocks = HostClocks(monotonic_ns=lambda: monotonic[0])
    clocks.hear("host-1", START_NS)
    monotonic[0] = 200 * NS_PER_S
    assert clocks.ahead_ns(START_NS) == {"host-1": 200 * NS_PER_S}
    monotonic[0] = 301 * NS_PER_S
    assert clocks.ahead_ns(START_NS) == {}
