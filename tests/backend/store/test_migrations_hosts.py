# SPDX-License-Identifier: Apache-2.0
"""Migrations of hosts, their coverage, and who brought what keep what is stored, up and down."""

from contextlib import closing

import pytest
from sqlalchemy import create_engine

from backend.query.findings import Code, find
from backend.store import open_store
from backend.store.contract.access import Refusal, Token
from backend.store.contract.values import TimeRange
from backend.store.sql.migrate import check_drift, downgrade, migrate
from faultmodel.kinds import EventKind, HostState
from faultmodel.problem import ProblemCode
from faultmodel.record import HostEvent, Span
from faultmodel.wire import BatchName
from tests.backend.store.conftest import NewUrl
from tests.backend.store.migrating import engine_url, every_vm
from tests.batches import (
    START_NS,
    VM_ID,
    fault_count,
    make_batch,
    make_host,
    make_vm,
)


def test_identity_by_host_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, (name, state) in enumerate([("a", "attached"), ("b", "attached"), ("a", "replay")]):
            counts = [fault_count(faults=10 + number)]
            assert store.apply(make_batch(host=make_host(name, state=state), fault_counts=counts), START_NS)
        before = {(vm.id, vm.host, vm.faults) for vm in every_vm(store)}
    assert sorted(faults for _, _, faults in before) == [10, 11, 12]

    downgrade(url, "0004")
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        streams = connection.exec_driver_sql("SELECT stream FROM streams ORDER BY id").scalars().all()
        batches = connection.exec_driver_sql("SELECT count(*) FROM applied_batches").scalar()
    engine.dispose()
    assert len(set(streams)) == len(streams) == batches == 3

    migrate(url)
    with closing(open_store(url)) as store:
        assert {(vm.id, vm.host, vm.faults) for vm in every_vm(store)} == before
        assert {host.name: host.state for host in store.hosts()} == {
            "a": "attached",
            "b": "attached",
            "a (recording)": "replay",
        }


def test_coverage_by_source_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    one, two = "1" * 32, "2" * 32
    spans = {one: (0, 4), two: (2, 6)}
    with closing(open_store(url)) as store:
        for number, (stream, ends) in enumerate(spans.items()):
            covered = tuple(Span(START_NS + at * 10**9, START_NS + (at + 1) * 10**9) for at in range(*ends))
            host = make_host(boot_id=f"boot-{number}")
            vms = [make_vm(f"{number:016x}")]
            waiting = make_batch(4, stream=stream, host=host, part=2, covered=(Span(7 * 10**17, 8 * 10**17),))
            assert store.apply(make_batch(stream=stream, host=host, covered=covered, vms=vms), START_NS)
            assert store.apply(waiting, START_NS)
        whole = store.coverage(None, TimeRange())
    assert [(span.from_ms - START_NS // 10**6, span.to_ms - START_NS // 10**6) for span in whole] == [
        (0, 6000)
    ]

    downgrade(url, "0006")
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT from_ns, to_ns FROM coverage").all()
        waiting_rows = connection.exec_driver_sql("SELECT count(*) FROM waiting_coverage").scalar()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(START_NS, START_NS + 6 * 10**9)]
    assert waiting_rows == 2

    migrate(url)
    with closing(open_store(url)) as store:
        assert store.coverage(None, TimeRange()) == whole
        # Of which boot it was is forgotten: it is each one's.
        of_vms = store.vm_coverage([f"{number:016x}" for number in range(2)], TimeRange())
        for place in of_vms.place_of.values():
            assert [(span.from_ms, span.to_ms) for span in of_vms.spans[place]] == [
                (span.from_ms, span.to_ms) for span in whole
            ]
    assert check_drift(url) == []


def test_numbers_that_are_given_once_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, name in enumerate("abc"):
            batch = make_batch(
                host=make_host(name, boot_id=name),
                vms=[make_vm(f"{number:016x}")],
                fault_counts=[fault_count(f"{number:016x}", faults=number)],
                events=[HostEvent(time_ns=START_NS, kind=EventKind.ATTACHED)],
            )
            assert store.apply(batch, START_NS)
        before, version = every_vm(store), store.version()
        events = store.host_events(None, TimeRange(), limit=9, before=None)

    for _ in range(2):
        downgrade(url, "0007")
        migrate(url)
        assert check_drift(url) == []
    with closing(open_store(url)) as store:
        assert (every_vm(store), store.version()) == (before, version)
        assert store.host_events(None, TimeRange(), limit=9, before=None) == events
        store.remove_host("c")
        assert store.apply(make_batch(host=make_host("d"), stream="6" * 32), START_NS)
        assert max(store.version()) > max(version)


@pytest.mark.parametrize("since", ["0006", "0008"])
def test_what_an_earlier_release_stored_has_no_token(new_url: NewUrl, since: str) -> None:
    url, token = new_url(), "b" * 64
    with closing(open_store(url)) as store:
        store.apply(make_batch(fault_counts=[fault_count(faults=3)]), START_NS)
    downgrade(url, "0006")
    migrate(url)
    downgrade(url, since)
    migrate(url)
    with closing(open_store(url)) as store:
        # The stream goes on, and so does the VM in another stream.
        store.apply(make_batch(1, fault_counts=[fault_count()]), START_NS, token)
        store.apply(make_batch(stream="6" * 32, fault_counts=[fault_count()]), START_NS, token)
        new_vm = make_vm("00000000000000b2")
        store.apply(make_batch(1, stream="6" * 32, vms=[new_vm]), START_NS, token)
        store.apply(make_batch(stream="7" * 32, host=make_host("new"), vms=[make_vm()]), START_NS, token)
        found = store.brought(token)
        assert (found.hosts, found.shared_hosts) == (["new"], ["host-1"])
        assert found.shared_vms == [VM_ID]
        assert new_vm.id in found.vms
        assert store.tokens_that_brought("") == [token]


def test_refusals_by_stream_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    refused = [
        Refusal(
            token="a" * 64,
            code=ProblemCode.QUOTA,
            host="host-1",
            detail="too much",
            count=number + 1,
            first_ns=START_NS + number,
            last_ns=START_NS + number + 10,
            batch=BatchName("host-1", f"{number}" * 32, 7) if number else None,
        )
        for number in range(3)
    ]
    with closing(open_store(url)) as store:
        store.add_refusals(refused)
        assert store.refusals() == refused[::-1]
    downgrade(url, "0008")
    migrate(url)
    with closing(open_store(url)) as store:
        (kept,) = store.refusals()
        assert (kept.count, kept.first_ns, kept.last_ns, kept.batch) == (6, START_NS, START_NS + 12, None)
        assert (kept.host, kept.detail, kept.code) == ("host-1", "too much", ProblemCode.QUOTA)


def test_who_brought_recordings_to_an_earlier_release_is_not_said_to_have_brought_nothing(
    new_url: NewUrl,
) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        # As an earlier release called them: exactly as the host of their token.
        store.apply(make_batch(host=make_host("import", state=HostState.REPLAY)), START_NS)
        for number, name in enumerate(("import", "node-1")):
            store.add_token(Token(f"{number:064x}", "ingest", name))
    downgrade(url, "0006")
    migrate(url)
    with closing(open_store(url)) as store:
        found = [(item.code, item.hosts) for item in find(store, START_NS)]
    assert found == [(Code.NEVER_DELIVERED, ["node-1"])]
