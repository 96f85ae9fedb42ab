# SPDX-License-Identifier: Apache-2.0
"""Lists and rates as files: the same rows as page after page has them, in each format."""

import csv
import io
import json
import socket
import sqlite3
import time
from contextlib import closing
from typing import Any

import httpx
import pyarrow as arrow
import pytest
from pyarrow import parquet

from backend.store.contract.store import Store
from backend.times import rfc3339_ms
from faultmodel.record_stalls import Pressure, WaitCount
from faultmodel.waits import WaitsFor
from tests.backend.process import serving
from tests.backend.serving import Server
from tests.batches import (
    START_MS,
    START_NS,
    VM_ID,
    exit_record,
    fault_count,
    fault_record,
    later_sections,
    make_batch,
    make_vm,
    sections_of,
    stall_count,
)

EXITS, ROWS = "/api/v1/exits", 2345
RANGE = {"from": START_MS, "to": START_MS + 10_000}


def get_file(server: Server, path: str, form: str, **parameters: Any) -> httpx.Response:
    """Return the file of a list."""
    answer = server.request("GET", path, params={**parameters, "format": form})
    assert answer.status_code == 200, answer.text
    return answer


def listed(server: Server, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return every item of a list, page after page."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = server.get(path, **parameters, **cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def csv_rows(answer: httpx.Response) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def parquet_rows(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file; times as text."""
    table = parquet.read_table(io.BytesIO(answer.content))
    texts = [
        column.cast("string") if str(column.type).startswith("timestamp") else column
        for column in table.columns
    ]
    return list(arrow.table(texts, names=table.column_names).to_pylist())


@pytest.fixture
def filled(server: Server) -> Server:
    """Return a server with more exits than a page has, VMs, and faults that were recorded."""
    vms = [make_vm(VM_ID, name='a, "quoted" name'), make_vm("00000000000000b2", name="=1+1\nä")]
    exits = [exit_record(time_ns=START_NS + number * 1000) for number in range(ROWS)]
    faults = [fault_record(time_ns=START_NS + number * 1000) for number in range(3)]
    counts = [fault_count(VM_ID, second=0, faults=5), fault_count("00000000000000b2", second=0, faults=2)]
    stalls = [stall_count(vm.id, octave=octave, q1=octave) for vm in vms for octave in (2, 9)]
    looks = sections_of(*(later_sections(vm.id) for vm in vms))
    looked = {
        name: looks[name]
        for name in ("memslots", "kvm_counts", "vm_pages", "causes", "livelocks", "outstanding")
    }
    waits = [WaitCount(START_MS, vm.id, WaitsFor.LOCK, name, 1, 10**9) for vm in vms for name in ("a", "b")]
    pressures = [Pressure(START_MS, vm.id, 10**9, 1) for vm in vms]
    of_faults: dict[str, Any] = {"fault_counts": counts, "faults": faults, "exits": exits}
    of_stalls: dict[str, Any] = {"stalls": stalls, "waits": waits, "pressures": pressures}
    server.apply(make_batch(0, vms=vms, **of_faults, **of_stalls, **looked))
    return server


@pytest.mark.parametrize(
    "path",
    [
        EXITS,
        "/api/v1/vms",
        f"/api/v1/vms/{VM_ID}/faults",
        f"/api/v1/vms/{VM_ID}/syndromes",
        "/api/v1/host-events",
        "/api/v1/stall",
        "/api/v1/outcomes",
        "/api/v1/memslots",
        "/api/v1/kvm-stats",
        "/api/v1/livelocks",
        "/api/v1/outstanding",
        "/api/v1/waits",
        "/api/v1/pressure",
        "/api/v1/causes",
    ],
)
def test_json_lines_are_the_items_of_all_pages(filled: Server, path: str) -> None:
    answer = get_file(filled, path, "ndjson", **RANGE)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == listed(filled, path, **RANGE)


def test_csv_has_a_column_for_each_field_and_a_row_for_each_item(filled: Server) -> None:
    answer = get_file(filled, EXITS, "csv", **RANGE)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="kvmfaults-exits.csv"'
    rows, items = csv_rows(answer), listed(filled, EXITS, **RANGE)
    assert len(rows) == ROWS
    for row, item in zip(rows, items, strict=True):
        assert row["time"] == item["time"]
        assert row["errno"] == str(item["errno"])
        assert row["size"] == ("" if item["size"] is None else str(item["size"]))
        assert row["flags"].split() == item["flags"]
        assert row["syndrome.word"] == (item["syndrome"] or {"word": ""})["word"]


def test_parquet_has_the_same_rows_with_their_types(filled: Server) -> None:
    rows = parquet_rows(get_file(filled, EXITS, "parquet", **RANGE))
    items = listed(filled, EXITS, **RANGE)
    assert len(rows) == ROWS
    for row, item in zip(rows, items, strict=True):
        assert row["time"].replace(" ", "T") == item["time"]
        assert (row["vcpu"], row["errno"], row["size"]) == (item["vcpu"], item["errno"], item["size"])
        assert (row["nested"], row["flags"]) == (item["nested"], item["flags"])


def test_the_buckets_of_a_stall_are_in_one_cell(filled: Server) -> None:
    items = listed(filled, "/api/v1/stall", **RANGE)
    rows = csv_rows(get_file(filled, "/api/v1/stall", "csv", **RANGE))
    assert [json.loads(row["buckets"]) for row in rows] == [item["buckets"] for item in items]
    columns = parquet_rows(get_file(filled, "/api/v1/stall", "parquet", **RANGE))
    assert [row["count"] for row in columns] == [item["count"] for item in items] == [13, 13]


def test_a_line_of_pressure_is_columns_of_its_own(filled: Server) -> None:
    rows = csv_rows(get_file(filled, "/api/v1/pressure", "csv", **RANGE))
    items = listed(filled, "/api/v1/pressure", **RANGE)
    assert [row["some.total_us"] for row in rows] == [str(item["some"]["total_us"]) for item in items] != []


def test_names_stay_what_they_are(filled: Server) -> None:
    names = {vm["name"] for vm in filled.get("/api/v1/vms")["items"]}
    assert {row["name"] for row in csv_rows(get_file(filled, "/api/v1/vms", "csv"))} == names
    assert {row["name"] for row in parquet_rows(get_file(filled, "/api/v1/vms", "parquet"))} == names


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_rates_have_a_row_for_each_series_and_step(filled: Server, form: str) -> None:
    asked = {**RANGE, "step": "2s"}
    rates = filled.get("/api/v1/rates", **asked)
    answer = get_file(filled, "/api/v1/rates", form, **asked)
    rows = csv_rows(answer) if form == "csv" else parquet_rows(answer)
    expected = {
        (rfc3339_ms(time_ms), one["key"]): (one["counts"][number], one["values"][number])
        for number, time_ms in enumerate(rates["times_ms"])
        for one in rates["series"]
    }
    assert len(rows) == len(expected) == 10
    for row in rows:
        # Parquet's are ns.
        count, value = expected[f"{row['time'].replace(' ', 'T')[:23]}Z", row["key"]]
        assert int(row["count"]) == count
        assert (
            row["value"] == ("" if value is None else str(value)) if form == "csv" else row["value"] == value
        )


def test_series_beyond_the_most_are_rows_without_a_key(filled: Server) -> None:
    rows = csv_rows(get_file(filled, "/api/v1/rates", "csv", **RANGE, step="10s", most=1))
    assert [(row["key"], row["count"]) for row in rows] == [(VM_ID, "5"), ("", "2")]


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_list_without_items_is_a_file_without_rows(filled: Server, form: str) -> None:
    answer = get_file(filled, EXITS, form, **{"from": 0, "to": 1000})
    if form == "csv":
        assert answer.text.startswith("time,vm,vcpu,")
        assert csv_rows(answer) == []
    elif form == "ndjson":
        assert answer.content == b""
    else:
        assert parquet_rows(answer) == []


def test_no_more_rows_than_were_asked_for(filled: Server) -> None:
    assert len(csv_rows(get_file(filled, EXITS, "csv", limit=7))) == 7


def test_a_file_goes_on_at_a_cursor(filled: Server) -> None:
    page = filled.get(EXITS, **RANGE, limit=1000)
    rest = csv_rows(get_file(filled, EXITS, "csv", **RANGE, cursor=page["next_cursor"]))
    assert len(rest) == ROWS - 1000


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        (EXITS, "format=xml", "format"),
        (EXITS, "format=csv&format=csv", "format"),
        (EXITS, "format=csv&from=yesterday", "from"),
        (EXITS, "format=csv&from=nowhere", "from"),
        (EXITS, "format=csv&from=now-1h&from=now-2h", "from"),
        (EXITS, "format=csv&limit=many", "limit"),
        (EXITS, "format=csv&limit=5&limit=6", "limit"),
        (EXITS, "format=csv&cursor=!", "cursor"),
        (EXITS, "format=csv&form=x", "form"),
        ("/api/v1/status", "format=csv", "format"),
        (f"/api/v1/vms/{VM_ID}", "format=csv", "format"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    filled: Server, path: str, query: str, parameter: str
) -> None:
    answer = filled.request("GET", f"{path}?{query}")
    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]


def test_a_vm_that_is_not_there_has_no_file(filled: Server) -> None:
    status, _ = filled.problem("/api/v1/vms/00000000000000ff/faults", format="csv")
    assert status == 404


def test_every_list_comes_as_a_file(filled: Server) -> None:
    described = filled.get("/api/v1/openapi.json")
    lists = 0
    for path, methods in described["paths"].items():
        answer = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        reference = answer.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        fields = described["components"]["schemas"].get(reference, {}).get("properties", {})
        if {"items", "next_cursor"} <= fields.keys():
            assert "text/csv" in answer, path
            lists += 1
    assert lists >= 8


def test_a_file_that_cannot_be_ended_is_cut_off(database: str, store: Store) -> None:
    """No client takes a part of the list for the whole."""
    began_ns = time.time_ns() - 60 * 10**9
    vm = make_vm(VM_ID, started_ns=began_ns)
    for number in range(30):
        times_ns = range(number * 10**6, (number + 1) * 10**6, 1000)
        faults = [fault_record(time_ns=began_ns + after_ns, monotonic_ns=after_ns) for after_ns in times_ns]
        assert store.apply(make_batch(number, covered=(), vms=[vm], faults=faults), time.time_ns())
    # Little lies between server and client at once.
    transport = httpx.HTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    plain = {"Accept-Encoding": "identity"}
    with (
        serving("--database", database, "--no-collector") as (_, address),
        httpx.Client(transport=transport, headers=plain, timeout=120) as client,
        client.stream("GET", f"{address}api/v1/vms/{VM_ID}/faults?format=ndjson") as answer,
    ):
        assert answer.status_code == 200
        lines = answer.iter_lines()
        next(lines)
        # At once: while a removal goes on, the list ends where it has come to.
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=60)) as connection:
            connection.execute("DELETE FROM vms")
            connection.commit()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
