# SPDX-License-Identifier: Apache-2.0
"""Guests: the history of all VMs that are lives of one, wherever it is asked for."""

from typing import Any

import pytest

from backend.store.contract.guests import by_uuid
from faultmodel.record import Span, Vm
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

GUESTS, RATES = "/api/v1/guests", "/api/v1/rates"
UUID = "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"
A, B, C, OTHER = "00000000000000a1", "00000000000000b2", "00000000000000c3", "00000000000000d4"
GRID: dict[str, Any] = {"from_": START_MS, "to": START_MS + 40_000, "step": "10s"}
KEY = by_uuid(UUID)
assert KEY is not None
GUEST = KEY.id
FIRST, SECOND = "1" * 32, "2" * 32


def vm(vm_id: str, from_s: int, to_s: int | None = None, **changes: object) -> Vm:
    """Return a VM that lives for these seconds, in a process of its own."""
    return make_vm(
        vm_id,
        name="web",
        pid=1000 + from_s,
        started_ns=START_NS + from_s * NS_PER_S,
        ended_ns=None if to_s is None else START_NS + to_s * NS_PER_S,
        **changes,
    )


def covered(from_s: int, to_s: int) -> tuple[Span, ...]:
    """Return these seconds as a covered span."""
    return (Span(START_NS + from_s * NS_PER_S, START_NS + to_s * NS_PER_S),)


@pytest.fixture
def fleet(server: Server) -> Server:
    """Return a server with a guest that restarts after 10 s and moves to another host from second 25 to 30.

    Its faults: 10 in second 5, 20 in second 15, then 4 on the first host in second 26 and 6 on the other. A
    guest of another name has 100.
    """
    first, second = make_host("host-1"), make_host("host-2")
    other = vm(OTHER, 0, uuid="")
    server.apply(
        make_batch(
            0,
            host=first,
            stream=FIRST,
            covered=covered(0, 40),
            vms=[
                vm(A, 0, 9),
                vm(B, 12, 30),
                make_vm(OTHER, name="db", uuid="", pid=7, started_ns=other.started_ns),
            ],
            fault_counts=[
                fault_count(A, second=5, faults=10, word=0x4),
                fault_count(B, second=15, faults=20, word=0x6),
                fault_count(B, second=26, faults=4, word=0x6),
                fault_count(OTHER, second=5, faults=100, word=0x6),
            ],
            exit_counts=[exit_count(A, second=5, count=2)],
            exits=[exit_record(A, time_ns=START_NS + 5 * NS_PER_S)],
            faults=[fault_record(A, time_ns=START_NS + 5 * NS_PER_S)],
            ledger=[
                ledger_entry(A, second=5, seen=10, recorded=1),
                ledger_entry(B, second=15, seen=20),
                ledger_entry(B, second=26, seen=4, seen_total=24),
                ledger_entry(OTHER, second=5, seen=100),
            ],
        ),
        make_batch(
            0,
            host=second,
            stream=SECOND,
            covered=covered(20, 40),
            vms=[vm(C, 25)],
            fault_counts=[fault_count(C, second=26, faults=6, word=0x6)],
            faults=[fault_record(C, time_ns=START_NS + 26 * NS_PER_S)],
            ledger=[ledger_entry(C, second=26, seen=6, recorded=1)],
        ),
    )
    return server


def test_the_list_has_each_guest_with_the_totals_of_its_vms(fleet: Server) -> None:
    page = fleet.get(GUESTS)
    web, db = sorted(page["items"], key=lambda item: item["name"], reverse=True)
    assert (web["id"], web["identified_by"], web["uuid"]) == (GUEST, "uuid", UUID)
    assert (web["name"], web["hosts"]) == ("web", ["host-2"])
    assert (web["vms_count"], web["running"]) == (3, 1)
    assert (web["faults"], web["memory_fault_exits"]) == (40, 2)
    assert (web["first_seen"], web["last_seen"]) == ("2027-01-15T08:00:05.000Z", "2027-01-15T08:00:40.000Z")
    assert (db["name"], db["identified_by"], db["uuid"], db["faults"]) == ("db", "name", "", 100)
    assert page["vms_left_out"] == 0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["db", "web"]),
        ({"search": "web"}, ["web"]),
        ({"search": UUID[:8]}, ["web"]),
        ({"host": "host-2"}, ["web"]),
        ({"state": "ended", "to": START_MS + 40_000}, ["web"]),
        ({"sort": "-name"}, ["web", "db"]),
        ({"sort": "faults"}, ["web", "db"]),
        ({"sort": "-vms"}, ["web", "db"]),
        ({"from_": START_MS + 50_000}, []),
    ],
)
def test_guests_are_found_by_what_is_known_of_their_vms(
    fleet: Server, asked: dict[str, Any], expected: list[str]
) -> None:
    found = fleet.get(GUESTS, **asked)["items"]
    names = [item["name"] for item in found]
    assert sorted(names) == sorted(expected) if "sort" not in asked else names == expected
    # Whichever VM is looked for, all of the guest's VMs are added up.
    assert {item["faults"] for item in found if item["name"] == "web"} <= {40}


def test_the_list_comes_in_pages(fleet: Server) -> None:
    first = fleet.get(GUESTS, limit=1, sort="name")
    second = fleet.get(GUESTS, limit=1, sort="name", cursor=first["next_cursor"])
    assert [item["name"] for item in first["items"] + second["items"]] == ["db", "web"]
    assert second["next_cursor"] is None
    assert fleet.request("GET", f"/api/v1/vms?sort=name&cursor={first['next_cursor']}").status_code == 400


def test_guests_come_as_a_file_too(fleet: Server) -> None:
    text = fleet.request("GET", f"{GUESTS}?format=csv&sort=name").text
    names, *rows = [line.split(",") for line in text.splitlines()]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(one["id"] == GUEST, one["name"], one["hosts"], one["faults"]) for one in found] == [
        (False, "db", "host-1", "100"),
        (True, "web", "host-2", "40"),
    ]
    for what, rows_of_it in (("faults", 2), ("syndromes", 2)):
        text = fleet.request("GET", f"{GUESTS}/{GUEST}/{what}?format=ndjson").text
        assert len(text.splitlines()) == rows_of_it


def test_a_guest_has_its_vms_and_what_happened_to_it(fleet: Server) -> None:
    guest = fleet.get(f"{GUESTS}/{GUEST}")
    assert [(one["id"], one["host"], one["running"], one["faults"]) for one in guest["vms"]] == [
        (C, "host-2", True, 6),
        (B, "host-1", False, 24),
        (A, "host-1", False, 10),
    ]
    assert (guest["faults"], guest["vms_count"], guest["vms_left_out"]) == (40, 3, 0)
    assert [
        (one["time"][17:19], one["kind"], one["vm"], one["host"], one["from_vm"], one["from_host"])
        for one in guest["events"]
    ] == [
        ("00", "start", A, "host-1", None, None),
        ("09", "end", A, "host-1", None, None),
        ("12", "restart", B, "host-1", A, "host-1"),
        ("25", "start", C, "host-2", None, None),
        ("30", "move", C, "host-2", B, "host-1"),
    ]
    assert [
        (one["since"][17:19], one["until"][17:19], one["vms"], one["hosts"]) for one in guest["at_once"]
    ] == [("25", "30", [B, C], ["host-1", "host-2"])]
    assert [one["host"] for one in guest["as_of"]["hosts"]] == ["host-1", "host-2"]


def test_a_guest_has_what_was_within_the_range_alone(fleet: Server) -> None:
    guest = fleet.get(f"{GUESTS}/{GUEST}", from_=START_MS + 26_000, to=START_MS + 28_000)
    assert [one["id"] for one in guest["vms"]] == [C, B]
    assert (guest["faults"], guest["running"], guest["hosts"]) == (10, 2, ["host-1", "host-2"])
    assert guest["events"] == []
    assert len(guest["at_once"]) == 1


def test_exits_and_vcpus_of_a_guest_are_those_of_its_vms_together(fleet: Server) -> None:
    more = [
        exit_count(B, second=15, count=3),
        exit_count(B, second=15, vcpu=1, reason=2, errno=0, count=7),
        exit_count(B, second=27, vcpu=2, reason=2, errno=0, count=100),
    ]
    faults = [fault_count(B, second=16, vcpu=1, faults=5, word=0x6)]
    fleet.apply(
        make_batch(
            1,
            host=make_host("host-1"),
            stream=FIRST,
            vms=[vm(B, 12, 30)],
            covered=covered(40, 41),
            exit_counts=more,
            fault_counts=faults,
        )
    )
    guest = fleet.get(f"{GUESTS}/{GUEST}", from_=START_MS, to=START_MS + 26_000)
    assert [(one["reason_name"], one["errno_name"], one["count"]) for one in guest["exit_reasons"]] == [
        ("KVM_EXIT_IO", "none", 7),
        ("KVM_EXIT_MEMORY_FAULT", "EFAULT", 5),
    ]
    assert guest["exits_of_other_reasons"] == 0
    # The third ever counted, though not in the range.
    assert [(one["vcpu"], one["faults"], one["memory_fault_exits"]) for one in guest["vcpus"]] == [
        (0, 30, 5),
        (1, 5, 0),
        (2, 0, 0),
    ]
    assert guest["vcpu_count"] == 3
    # One VM's are of the same form.
    of_vm = fleet.get(f"/api/v1/vms/{B}")
    assert {"vcpus", "vcpu_count", "exit_reasons", "exits_of_other_reasons"} <= guest.keys() & of_vm.keys()


def test_vms_show_whose_lives_they_are(fleet: Server) -> None:
    assert fleet.get(f"/api/v1/vms/{A}")["guest"] == GUEST
    for asked in ({}, {"sort": "name"}):
        found = fleet.get("/api/v1/vms", guest=GUEST, **asked)["items"]
        assert {one["id"]: one["guest"] for one in found} == dict.fromkeys((A, B, C), GUEST)


def test_rates_join_a_guests_vms(fleet: Server) -> None:
    by_guest = fleet.get(RATES, **GRID, by="guest")
    assert [(one["key"], one["label"], one["counts"]) for one in by_guest["series"]] == [
        (by_guest["series"][0]["key"], "db", [100, 0, 0, 0]),
        (GUEST, "web", [10, 20, 10, 0]),
    ]
    # Two VMs at once are counted in the same time.
    assert by_guest["series"][1]["values"] == [1.0, 2.0, 1.0, 0.0]
    alone = fleet.get(RATES, **GRID, by="guest", guest=GUEST)
    assert [(one["key"], one["label"], one["counts"]) for one in alone["series"]] == [
        (GUEST, "web", [10, 20, 10, 0])
    ]
    assert alone["series"][0]["values"] == [1.0, 2.0, 1.0, 0.0]


def test_a_step_in_which_a_guest_had_no_vm_is_no_zero(fleet: Server) -> None:
    steps = {**GRID, "step": "1s"}
    for asked in ({"by": "guest"}, {"by": "access"}, {"by": "guest", "search": "web"}):
        found = fleet.get(RATES, **steps, **({"guest": GUEST} if "search" not in asked else {}), **asked)
        values = found["series"][0]["values"]
        assert values[10:12] == [None, None]
        assert None not in values[:10] + values[12:]


def test_what_is_counted_of_a_guest_outside_of_its_lives_has_a_rate(server: Server) -> None:
    # The second VM was seen first in second 12, and what it did in second 11 comes from another reading. The
    # host was not covered in seconds 5 and 6, nor is in second 14.
    server.apply(
        make_batch(
            0,
            host=make_host("host-1"),
            stream=FIRST,
            covered=(*covered(0, 5), *covered(7, 14)),
            vms=[vm(A, 0, 8), vm(B, 12)],
            fault_counts=[
                fault_count(A, second=5, faults=3),
                fault_count(A, second=7, faults=2),
                fault_count(B, second=11, faults=4),
                fault_count(B, second=12, faults=6),
            ],
            ledger=[ledger_entry(A, seen=5), ledger_entry(B, second=12, seen=10)],
        ),
        make_batch(
            0, host=make_host("host-2", boot_id="another"), stream=SECOND, covered=covered(0, 9), vms=[]
        ),
    )
    steps: dict[str, Any] = {"from_": START_MS, "to": START_MS + 15_000, "step": "1s"}
    found = server.get(RATES, **steps, by="guest", guest=GUEST)["series"][0]["values"]
    # Second 5 has a count and was not covered: no rate is known. Second 11 was covered.
    assert found == [0.0] * 5 + [None, None, 2.0, 0.0, None, None, 4.0, 6.0, 0.0, None]
    by_vm = {one["key"]: one["values"] for one in server.get(RATES, **steps, by="vm", vm=[A, B])["series"]}
    assert by_vm[A] == [0.0] * 5 + [None, None, 2.0, 0.0] + [None] * 6
    assert by_vm[B] == [None] * 11 + [4.0, 6.0, 0.0, None]
    # A step that a life covers in part has the time of it in which the host was covered.
    (series,) = server.get(RATES, **{**steps, "step": "5s"}, by="guest", guest=GUEST)["series"]
    assert (series["counts"], series["values"]) == ([0, 5, 10], [0.0, 5 / 3, 2.5])


@pytest.mark.parametrize("by", ["access", "flag", "level", "arch"])
def test_other_series_of_a_guest_are_of_all_its_vms(fleet: Server, by: str) -> None:
    found = fleet.get(RATES, **GRID, by=by, guest=GUEST)
    vms = fleet.get(RATES, **GRID, by=by, vm=[A, B, C])
    assert {one["key"]: one["counts"] for one in found["series"]} == {
        one["key"]: one["counts"] for one in vms["series"]
    }
    assert found["series"]


def test_the_vms_of_a_guest_are_series_of_their_own(fleet: Server) -> None:
    found = fleet.get(RATES, **GRID, by="vm", guest=GUEST)
    assert {one["key"]: one["total"] for one in found["series"]} == {A: 10, B: 24, C: 6}
    assert fleet.get(RATES, **GRID, by="guest", metric="memory_fault_exits", guest=GUEST)["series"][0][
        "counts"
    ] == [2, 0, 0, 0]


def test_a_later_part_is_of_the_guests_as_they_are_then(fleet: Server) -> None:
    before = fleet.get(RATES, **GRID, by="guest")
    fleet.apply(
        make_batch(
            1,
            host=make_host("host-1"),
            stream=FIRST,
            covered=covered(40, 41),
            vms=[make_vm(OTHER, name="db", uuid=UUID, pid=7, started_ns=START_NS)],
            fault_counts=(),
            ledger=(),
        )
    )
    whole = fleet.get(RATES, **GRID, by="guest")
    assert [(one["key"], one["counts"]) for one in whole["series"]] == [(GUEST, [110, 20, 10, 0])]
    assert fleet.get(RATES, **GRID, by="guest", after=before["version"])["series"] == whole["series"]


def test_what_a_vm_is_asked_for_a_guest_is_too(fleet: Server) -> None:
    flags = fleet.get(f"{GUESTS}/{GUEST}/flags")
    assert flags["total"] == 40
    assert {one["flag"]: one["count"] for one in flags["items"]}["write"] == 30
    words = fleet.get(f"{GUESTS}/{GUEST}/syndromes", limit=1)
    assert [(one["word"], one["count"]) for one in words["items"]] == [("0x6", 30)]
    assert (words["words"], words["count"]) == (2, 40)
    rest = fleet.get(f"{GUESTS}/{GUEST}/syndromes", cursor=words["next_cursor"])
    assert [(one["word"], one["count"]) for one in rest["items"]] == [("0x4", 10)]
    faults = fleet.get(f"{GUESTS}/{GUEST}/faults", limit=1)
    assert [one["vm"] for one in faults["items"]] == [C]
    faults = fleet.get(f"{GUESTS}/{GUEST}/faults", cursor=faults["next_cursor"])
    assert [one["vm"] for one in faults["items"]] == [A]
    assert [one["vm"] for one in fleet.get("/api/v1/exits", guest=GUEST)["items"]] == [A]
    ledger = fleet.get("/api/v1/ledger", **GRID, guest=GUEST)
    assert {one["vm"]: one["seen"]["total"] for one in ledger["vms"]} == {A: 10, B: 24, C: 6}
    assert [one["host"] for one in ledger["hosts"]] == ["host-1", "host-2"]


def test_a_guest_without_vms_in_the_range_has_nothing_and_not_everything(fleet: Server) -> None:
    later = {"from_": START_MS + 50_000, "to": START_MS + 60_000}
    assert fleet.get(RATES, **later, by="access", guest=GUEST)["series"] == []
    assert fleet.get(RATES, **later, by="guest", guest=GUEST)["series"] == []
    assert fleet.get("/api/v1/exits", **later, guest=GUEST)["items"] == []
    assert fleet.get("/api/v1/ledger", **later, guest=GUEST)["vms"] == []
    assert fleet.get(f"{GUESTS}/{GUEST}/flags", **later)["total"] == 0
    assert fleet.get(f"{GUESTS}/{GUEST}/syndromes", **later)["items"] == []
    assert fleet.get(f"{GUESTS}/{GUEST}/faults", **later)["items"] == []
    assert fleet.get(f"{GUESTS}/{GUEST}", **later)["vms"] == []


@pytest.mark.parametrize(
    "path",
    [
        f"{GUESTS}/{{}}",
        f"{GUESTS}/{{}}/flags",
        f"{GUESTS}/{{}}/syndromes",
        f"{GUESTS}/{{}}/faults",
        f"{RATES}?guest={{}}",
        "/api/v1/vms?guest={}",
        "/api/v1/exits?guest={}",
        "/api/v1/ledger?guest={}",
    ],
)
def test_a_guest_that_is_not_there_is_said_to_be_so(fleet: Server, path: str) -> None:
    answer = fleet.request("GET", path.format("0" * 16))
    assert (answer.status_code, answer.json()["detail"]) == (404, "no guest '0000000000000000'")


@pytest.mark.parametrize("path", [RATES, "/api/v1/exits", "/api/v1/ledger"])
def test_vms_are_chosen_in_one_way(fleet: Server, path: str) -> None:
    answer = fleet.request("GET", f"{path}?guest={GUEST}&vm={A}")
    assert answer.status_code == 400
    assert "not by both" in answer.text


def duplicates(server: Server) -> list[dict[str, Any]]:
    """Return the findings of guests of which several VMs run at once."""
    found = server.get("/api/v1/status")["findings"]
    return [one for one in found if one["code"] == "duplicate_guest"]


def at_once(server: Server, hosts: tuple[str, str], seconds: int) -> None:
    """Have two VMs of one UUID run on these hosts for so long."""
    for number, (host, vm_id) in enumerate(zip(hosts, (A, B), strict=True)):
        server.apply(
            make_batch(
                number,
                host=make_host(host),
                stream=str(number) * 32 if hosts[0] != hosts[1] else FIRST,
                covered=covered(-seconds, 0),
                vms=[vm(vm_id, -seconds - number)],
                fault_counts=(),
                ledger=(),
            )
        )


@pytest.mark.parametrize(
    ("hosts", "seconds", "is_found"),
    [
        (("host-1", "host-1"), 30, False),
        (("host-1", "host-1"), 90, True),
        (("host-1", "host-2"), 90, False),
        (("host-1", "host-2"), 4000, True),
    ],
)
def test_vms_of_one_uuid_that_run_at_once_for_long_are_reported(
    server: Server, hosts: tuple[str, str], seconds: int, is_found: bool
) -> None:
    server.clock.now_ns = START_NS + NS_PER_S
    at_once(server, hosts, seconds)
    found = duplicates(server)
    assert [(one["guest"], one["hosts"], one["is_current"]) for one in found] == (
        [(GUEST, sorted(set(hosts)), True)] if is_found else []
    )
    # Both are shown, with their hosts, whatever is to be thought of it.
    guest = server.get(f"{GUESTS}/{GUEST}")
    assert {(one["id"], one["host"]) for one in guest["vms"]} == {(A, hosts[0]), (B, hosts[1])}
    assert [(one["until"], one["hosts"]) for one in guest["at_once"]] == [(None, sorted(set(hosts)))]
