# SPDX-License-Identifier: Apache-2.0
"""What is removed of VMs and hosts: all of it, nothing else; and what came by which token."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from sqlalchemy import Integer, func, select

from backend.errors import NotFoundError
from backend.store.contract.hosts import Contents
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql import removal
from backend.store.sql.series import removal as emptying
from backend.store.sql.series.rows import SERIES_TABLES
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import metadata, series_blocks, series_state
from backend.store.sql.writer import Writer
from faultmodel.kinds import EventKind, LossKind
from faultmodel.record import Cost, HostEvent, Loss, Span
from faultmodel.wire import Batch
from tests.batches import (
    NS_PER_S,
    START_NS,
    VM_ID,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    later_sections,
    ledger_entry,
    make_batch,
    make_host,
)

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"
ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 32
TOKEN, OTHER_TOKEN = "a" * 64, "b" * 64


def full(name: str, stream: str, vm: str, sequence: int = 0, faults: int = 7) -> Batch:
    """Return a batch that has something of everything."""
    end_ns = START_NS + 9 * NS_PER_S
    return make_batch(
        sequence,
        host=make_host(name, boot_id=name),
        stream=stream,
        part=min(sequence, 1),
        covered=(Span(START_NS, end_ns),),
        fault_counts=[
            fault_count(vm, second=n, vcpu=n, word=n + 1, faults=faults if not n else 0) for n in range(9)
        ],
        faults=[fault_record(vm, time_ns=START_NS + n) for n in range(9)],
        exit_counts=[exit_count(vm, second=n) for n in range(9)],
        exits=[exit_record(vm, time_ns=START_NS + n) for n in range(9)],
        ledger=[ledger_entry(vm, seen=9, counted=faults, uncounted=9 - faults, recorded=9)],
        lost=[Loss(LossKind.KEYS_FULL, 1)],
        events=[HostEvent(time_ns=START_NS, kind=EventKind.ATTACHED)],
        costs=[
            Cost(from_ns=START_NS + n * NS_PER_S, to_ns=end_ns, cpu_ns=1, resident_bytes=1) for n in range(9)
        ],
        **later_sections(vm, seconds=range(9)),
    )


def rows(store: Store) -> dict[str, int]:
    """Return how many rows each table has, tokens aside."""
    assert isinstance(store, SqlStore)
    found = {}
    with store.writing() as writer:
        for table in metadata.sorted_tables:
            if table in SERIES_TABLES:
                found[table.name], _ = store.series.row_sums(writer.connection, table)
            elif table not in (series_blocks, series_state):
                found[table.name] = writer.connection.scalar(select(func.count()).select_from(table)) or 0
    return {name: count for name, count in found.items() if count}


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying, "_AT_ONCE", 4)


def test_a_host_is_removed_and_no_other(store: Store) -> None:
    store.apply(full("b", TWO, OTHER_VM), START_NS)
    before = rows(store)
    # One of two batches waits for another, so that there is coverage that waits.
    store.apply(full("a", ONE, VM_ID), START_NS, TOKEN)
    store.apply(full("a", ONE, VM_ID, sequence=2), START_NS, OTHER_TOKEN)
    assert rows(store) != before
    assert store.contents("a") == Contents(hosts=1, vms=1, faults=18, batches=2)

    store.remove_host("a")

    assert rows(store) == before
    assert [host.name for host in store.hosts()] == ["b"]
    assert store.contents(None) == Contents(hosts=1, vms=1, faults=9, batches=1)
    with pytest.raises(NotFoundError):
        store.remove_host("a")
    # It may come again, and is new then.
    assert store.apply(full("a", ONE, VM_ID), START_NS)
    assert store.vm(VM_ID, ALWAYS).faults == 7


def test_a_removed_vm_that_comes_again_has_its_vcpus_again(store: Store) -> None:
    store.apply(full("a", ONE, VM_ID), START_NS)
    before = [vcpu.vcpu for vcpu in store.vcpus([VM_ID], ALWAYS)]
    store.remove_vm(VM_ID)
    store.apply(full("a", ONE, VM_ID, sequence=1), START_NS)
    assert before
    assert [vcpu.vcpu for vcpu in store.vcpus([VM_ID], ALWAYS)] == before


def numbers(store: Store) -> dict[str, int]:
    """Return the greatest number that each table gives, of those that number their rows."""
    assert isinstance(store, SqlStore)
    with store.writing() as writer:
        return {
            table.name: writer.connection.scalar(select(func.max(table.c.id))) or 0
            for table in metadata.sorted_tables
            if "id" in table.c and isinstance(table.c.id.type, Integer)
        }


def test_numbers_are_given_once(store: Store) -> None:
    store.apply(full("a", ONE, VM_ID), START_NS)
    before = numbers(store)
    assert set(before) == {"hosts", "sources", "streams", "host_events", "vms"}
    store.remove_host("a")
    store.apply(full("b", TWO, OTHER_VM), START_NS)
    after = numbers(store)
    assert {name for name in after if after[name] <= before[name]} == set()


def test_a_host_that_is_new_meanwhile_stays(store: Store) -> None:
    assert isinstance(store, SqlStore)
    store.apply(full("a", ONE, VM_ID), START_NS)
    (number,) = store.version()
    transactions = count()

    @contextmanager
    def writing() -> Iterator[Writer]:
        if next(transactions) == 1:
            store.remove_host("a")
            store.apply(full("b", TWO, OTHER_VM), START_NS)
        with store.writing() as writer:
            yield writer

    with pytest.raises(NotFoundError, match="host 'a' was removed meanwhile"):
        removal.remove_host(writing, store.series, removal.Owner(number, "a"))
    assert store.contents("b") == Contents(hosts=1, vms=1, faults=9, batches=1)
    # Nor is one removed that goes by another name.
    (other,) = store.version()
    with pytest.raises(NotFoundError):
        removal.remove_host(store.writing, store.series, removal.Owner(other, "a"))
    assert store.contents(None) == Contents(hosts=1, vms=1, faults=9, batches=1)


def test_a_vm_is_removed_and_no_other(store: Store) -> None:
    store.apply(full("a", ONE, OTHER_VM), START_NS)
    store.apply(full("a", ONE, VM_ID, sequence=1), START_NS)
    version = store.version()
    other = store.vm(OTHER_VM, ALWAYS)

    store.remove_vm(VM_ID)

    with pytest.raises(NotFoundError):
        store.vm(VM_ID, ALWAYS)
    with pytest.raises(NotFoundError):
        store.remove_vm(VM_ID)
    assert store.vm(OTHER_VM, ALWAYS) == other
    assert store.vm_faults(OTHER_VM) == 9
    assert len(store.exits(None, None, ALWAYS, limit=99, before=None)) == 9
    assert store.version() != version
    # What readers keep of this host is not taken for the same.
    assert store.same_before(version, store.version()) == 0


def test_what_a_token_brought_is_kept_apart_from_what_others_did(store: Store) -> None:
    store.apply(full("a", ONE, VM_ID), START_NS, TOKEN)
    store.apply(full("a", TWO, OTHER_VM), START_NS, OTHER_TOKEN)
    store.apply(full("a", TWO, VM_ID, sequence=1), START_NS, OTHER_TOKEN)
    store.apply(full("a", ONE, "00000000000000c3", sequence=1), START_NS, TOKEN)
    store.apply(full("b", THREE, "00000000000000d4"), START_NS, TOKEN)

    found = store.brought(TOKEN)
    assert (found.hosts, found.shared_hosts) == (["b"], ["a"])
    assert found.vms == ["00000000000000c3", "00000000000000d4"]
    assert found.shared_vms == [VM_ID]
    assert store.tokens_that_brought("aaaa") == [TOKEN]
    assert store.tokens_that_brought("") == [TOKEN, OTHER_TOKEN]
    assert store.tokens_that_brought("c") == []


def test_a_stream_that_two_tokens_brought_is_of_neither_alone(store: Store) -> None:
    store.apply(full("a", ONE, VM_ID), START_NS, TOKEN)
    store.apply(full("a", ONE, VM_ID, sequence=1), START_NS, OTHER_TOKEN)
    for token in (TOKEN, OTHER_TOKEN):
        found = store.brought(token)
        assert (found.hosts, found.vms) == ([], [])
        assert (found.shared_hosts, found.shared_vms) == (["a"], [VM_ID])
