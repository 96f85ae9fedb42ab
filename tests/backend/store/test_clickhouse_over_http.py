# SPDX-License-Identifier: Apache-2.0
"""ClickHouse over a network: whatever goes wrong there is said, and nothing is lost or counted twice."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from backend.errors import StoreError, TooLongError
from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.time_limit import TimeLimit, limited
from backend.store.sql.tables import fault_counts
from tests.backend.store.conftest import NewUrl
from tests.backend.store.everything import RECEIVED_NS, a_batch, roll_up, stored
from tests.backend.store.killed import levels
from tests.batches import fault_count, ledger_entry, make_batch, make_host
from tests.clickhouse import ClickHouse, ClickHouseServer
from tests.product import wait_for

pytestmark = pytest.mark.parametrize("database", ["sqlite"])
COUNTS = r"insert_deduplication_token.*/fault_counts_1s"
"""Is in the request that inserts a batch's counts of faults."""
Open = Callable[..., Store]


@pytest.fixture
def server(clickhouse_server: ClickHouseServer) -> Iterator[ClickHouseServer]:
    """Return a server that serves, also after a test that ended it."""
    yield clickhouse_server
    clickhouse_server.go_on()


@pytest.fixture
def open_it(
    new_url: NewUrl, clickhouse_http: ClickHouse, server: ClickHouseServer
) -> Iterator[Callable[..., Store]]:
    """Return what opens the same store, empty at first; what its URL says else is given by name."""
    clickhouse_http.empty()
    url = new_url()
    opened: list[Store] = []

    def open_it(**said: str) -> Store:
        opened.append(open_store(url, server.url_with(**said)))
        return opened[-1]

    open_it().prepare()
    yield open_it
    for store in opened:
        store.close()


def expected(new_url: NewUrl, *numbers: int) -> Mapping[object, object]:
    """Return what a store in one database has of batches."""
    with closing(open_store(new_url())) as twin:
        for number in numbers:
            assert twin.apply(a_batch(number), RECEIVED_NS)
        return stored(twin)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"password": "wrong"}, "Code: 516.*kvmfaults: Authentication failed"),
        ({"database": "elsewhere"}, "Code: 81.*Database elsewhere does not exist"),
        ({"query": "?no_such_setting=1"}, "no_such_setting"),
    ],
)
def test_what_a_server_refuses_is_said(open_it: Open, said: Mapping[str, str], expected: str) -> None:
    store = open_it(**said)
    with pytest.raises(StoreError, match=expected) as raised:
        store.check_schema()
    assert "http" not in str(raised.value)
    assert ClickHouseServer.PASSWORD not in str(raised.value)


def test_a_password_can_be_in_a_file(open_it: Open, server: ClickHouseServer, tmp_path: Path) -> None:
    file = tmp_path / "password"
    said = {"password": "", "query": f"?password_file={file}"}
    with pytest.raises(StoreError, match=f"the password file {file} cannot be read: No such file"):
        open_it(**said)
    file.write_text(f"{server.PASSWORD}\n")
    open_it(**said).check_schema()


def test_a_server_that_is_away_is_said_to_be_and_asked_again(open_it: Open, server: ClickHouseServer) -> None:
    store = open_it()
    store.check_schema()
    server.end()
    place = re.escape(str(make_url(server.url).host))
    try:
        for ask in (store.check_schema, lambda: store.apply(a_batch(0), RECEIVED_NS)):
            with pytest.raises(StoreError, match=f"^series: ClickHouse at {place}:.*: Connection refused$"):
                ask()
    finally:
        server.begin()
    store.check_schema()
    assert store.apply(a_batch(0), RECEIVED_NS)


@pytest.mark.parametrize(("query", "expected"), [("", "0"), ("?async_insert=1&wait_for_async_insert=0", "1")])
def test_inserts_are_asked_to_be_stored_before_they_are_acknowledged(
    open_it: Open, server: ClickHouseServer, query: str, expected: str
) -> None:
    """A server's profile may have it otherwise, and 26.9 puts inserts off by itself."""
    store = open_it(query=query)
    asked = [f"'async_insert': '{expected}'", "'wait_for_async_insert': '1'", "deduplicate': '1'"]
    for setting in asked:
        server.have("reset", "before", of=f"{setting}.*insert_deduplication_token", times=2)
        with pytest.raises(StoreError, match="Connection reset"):
            store.apply(a_batch(0), RECEIVED_NS)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2])
def test_an_insert_whose_connection_is_reset_counts_once(
    open_it: Open,
    new_url: NewUrl,
    server: ClickHouseServer,
    clickhouse_http: ClickHouse,
    when: str,
    times: int,
) -> None:
    """Reset once, it is repeated at once with its token. Reset twice, the whole batch is sent again."""
    store = open_it()
    server.have("reset", when, of=COUNTS, times=times)
    if times == 1:
        assert store.apply(a_batch(0), RECEIVED_NS)
        assert clickhouse_http.rows(fault_counts) == 2
    else:
        with pytest.raises(StoreError, match=r"series: ClickHouse at .*: Connection reset by peer"):
            store.apply(a_batch(0), RECEIVED_NS)
        assert store.apply(a_batch(0), RECEIVED_NS)
    assert not store.apply(a_batch(0), RECEIVED_NS)
    assert stored(store) == expected(new_url, 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 4])
def test_a_batch_between_whose_inserts_the_server_ends_counts_once(
    open_it: Open, new_url: NewUrl, server: ClickHouseServer, when: str, number: int
) -> None:
    store = open_it()
    assert store.apply(a_batch(0), RECEIVED_NS)
    server.have("end", when, of="insert_deduplication_token", number=number)
    with pytest.raises(StoreError):
        store.apply(a_batch(1), RECEIVED_NS)
    server.wait()
    server.begin()
    assert stored(store) == expected(new_url, 0)
    assert store.apply(a_batch(1), RECEIVED_NS)
    assert not store.apply(a_batch(1), RECEIVED_NS)
    assert stored(store) == expected(new_url, 0, 1)


def test_a_question_without_an_answer_ends_with_its_time_and_is_in_nobodys_way(
    open_it: Open, new_url: NewUrl, server: ClickHouseServer
) -> None:
    store = open_it()
    assert store.apply(a_batch(0), RECEIVED_NS)
    server.have("wait", "before", of="SELECT.*fault_counts_1s")
    with limited(TimeLimit(0.5)), pytest.raises(TooLongError):
        stored(store)
    # That one still waits there.
    assert stored(store) == expected(new_url, 0)


@pytest.mark.parametrize("what", ["reset", "cut"])
def test_half_an_answer_to_a_question_is_none(
    open_it: Open, new_url: NewUrl, server: ClickHouseServer, what: str
) -> None:
    store = open_it()
    assert store.apply(a_batch(0), RECEIVED_NS)
    server.have(what, "after", of="SELECT.*fault_counts_1s", times=9)
    with pytest.raises(StoreError, match=r"^series: ClickHouse at .*: "):
        stored(store)
    server.go_on()
    assert stored(store) == expected(new_url, 0)


def test_an_insert_without_an_answer_is_undone_and_counts_once(
    open_it: Open, new_url: NewUrl, server: ClickHouseServer
) -> None:
    store = open_it(query="?send_receive_timeout=1")
    server.have("wait", "before", of=COUNTS)
    with pytest.raises(StoreError, match=r"series: ClickHouse at .*: no answer in time"):
        store.apply(a_batch(0), RECEIVED_NS)
    assert store.apply(a_batch(0), RECEIVED_NS)
    server.go_on()
    # Inserted after all, it is not of the batch that counts.
    assert stored(store) == expected(new_url, 0)


def inserts(clickhouse: ClickHouse, table: str) -> int:
    """Return a number that each insert makes greater."""
    with closing(clickhouse.connect()) as database:
        ((number,),) = database.query(
            "SELECT max(max_block_number) FROM system.parts"
            f" WHERE database = currentDatabase() AND table = '{table}'"
        )
    return int(number)


def test_a_sum_that_is_inserted_too_late_takes_the_place_of_none_that_is_newer(
    open_it: Open, new_url: NewUrl, server: ClickHouseServer, clickhouse_http: ClickHouse
) -> None:
    late = make_batch(
        9,
        host=make_host("host-0"),
        stream="f" * 32,
        vms=[],
        fault_counts=[fault_count(f"{1:08x}{1:08x}", second=1, word=1, faults=100)],
        ledger=[ledger_entry(f"{1:08x}{1:08x}", second=1, seen=100, seen_total=106)],
    )
    first = open_it(query="?send_receive_timeout=1")
    assert first.apply(a_batch(0), RECEIVED_NS)
    server.have("wait", "before", of="INSERT INTO .fault_counts_10s")
    with pytest.raises(StoreError, match="no answer in time"):
        roll_up(first)
    second = open_it()
    assert second.apply(late, RECEIVED_NS)
    roll_up(second)
    with closing(open_store(new_url())) as twin:
        for batch in (a_batch(0), late):
            assert twin.apply(batch, RECEIVED_NS)
        roll_up(twin)
        assert levels(second) == levels(twin)
        before = inserts(clickhouse_http, "fault_counts_10s")
        server.go_on()
        wait_for(
            lambda: inserts(clickhouse_http, "fault_counts_10s") > before or None, 60, "the late sum is there"
        )
        assert levels(second) == levels(twin)
        assert stored(second) == stored(twin)


def test_a_series_whose_first_note_had_no_answer_is_made_all_the_same(
    new_url: NewUrl, server: ClickHouseServer, clickhouse_http: ClickHouse
) -> None:
    clickhouse_http.empty()
    with closing(open_store(new_url(), server.url)) as store:
        server.have("reset", "after", of="INSERT INTO kvmfaults_series")
        with pytest.raises(StoreError, match="Connection reset"):
            store.prepare()
        store.prepare()
        store.check_schema()
