# SPDX-License-Identifier: Apache-2.0
"""What was stored, in the order in which it was: who follows it gets each once, whoever stores it."""

import threading
from collections import Counter
from contextlib import closing, nullcontext
from dataclasses import replace

import pytest

from backend.store import open_store
from backend.store.contract.arrivals import Arrival, ArrivalKind
from backend.store.contract.retention import Kept
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql.copying import copy
from backend.store.sql.migrate import migrate
from backend.store.sql.store import SqlStore
from faultmodel import arch
from faultmodel.record import Span
from faultmodel.wire import Batch
from tests.backend.store.aging import HOUR_S, SHORT, run, take_jobs
from tests.backend.store.conftest import NewUrl
from tests.batches import NS_PER_S, START_NS, exit_record, livelock, make_batch, make_host

HOSTS, BATCHES = 4, 30
ALWAYS = TimeRange()
EXIT = ArrivalKind.EXIT


class _UndoneError(Exception):
    """Has a transaction be undone."""


def _exits(host: int, sequence: int, *vcpus: int, arch_name: str = "x86_64", second: int = 0) -> Batch:
    """Return a batch of a host with an exit of each of these vCPUs of its one VM."""
    vm_id = f"{host + 1:016x}"
    covered_ns = START_NS + (second + sequence) * NS_PER_S
    return make_batch(
        sequence,
        host=make_host(f"host-{host}", boot_id=f"boot-{host}"),
        stream=f"{host + 1:032x}",
        arch=arch_name,
        covered=[Span(covered_ns, covered_ns + NS_PER_S)],
        exits=[
            exit_record(vm_id, arch_name=arch_name, vcpu=vcpu, time_ns=START_NS + second * NS_PER_S)
            for vcpu in vcpus
        ],
    )


def _follow(store: Store, after: int, *, limit: int = 7) -> tuple[list[Arrival], int]:
    """Return all that is settled behind a number, and up to which number that is."""
    found: list[Arrival] = []
    to = store.settled().to
    while after < to:
        page = store.arrivals(after, to, limit=limit)
        assert len(page.items) <= limit
        assert all(after < item.position <= page.to for item in page.items)
        found += page.items
        after = page.to
    return found, after


def _names(arrivals: list[Arrival]) -> list[tuple[str, int]]:
    return [(arrival.vm.host, arrival.item.record.vcpu) for arrival in arrivals]


def test_whoever_follows_gets_each_once_while_several_hosts_store(store: Store) -> None:
    def hand_in(host: int) -> None:
        for sequence in range(BATCHES):
            batch = _exits(host, sequence, 2 * sequence, 2 * sequence + 1)
            stuck = livelock(f"{host + 1:016x}", began=sequence, second=sequence)
            store.apply(replace(batch, livelocks=[stuck]), START_NS)

    threads = [threading.Thread(target=hand_in, args=[host]) for host in range(HOSTS)]
    for thread in threads:
        thread.start()
    found, place = _follow(store, 0)
    while any(thread.is_alive() for thread in threads):
        more, place = _follow(store, place)
        found += more
    more, _ = _follow(store, place)
    found += more
    positions = [item.position for item in found]
    assert positions == sorted(positions)
    wanted = {(f"host-{host}", vcpu): 1 for host in range(HOSTS) for vcpu in range(2 * BATCHES)}
    assert Counter(_names([item for item in found if item.kind is EXIT])) == wanted
    begun = Counter(
        (item.vm.host, item.item.livelock.since_monotonic_ns) for item in found if item.kind is not EXIT
    )
    assert (len(begun), set(begun.values())) == (HOSTS * BATCHES, {1})


def test_exits_of_every_architecture_come_in_one_order_with_all_that_is_known(store: Store) -> None:
    for sequence, name in enumerate([*arch.architectures()] * 2):
        store.apply(_exits(len(name), sequence, sequence, arch_name=name), START_NS)
    found, _ = _follow(store, 0)
    assert [item.item.record.vcpu for item in found] == list(range(len(found)))
    assert [item.item.arch for item in found] == [*arch.architectures()] * 2
    listed = store.exits(None, None, ALWAYS, limit=100, before=None)
    by_position = {row.position: row for row in listed}
    assert {item.position: item.item for item in found} == by_position
    assert all(item.vm.id == item.item.record.vm for item in found)


def test_exits_and_what_changes_come_in_one_order(store: Store) -> None:
    """However they are divided into pages, and in whichever database exits are."""
    for sequence in range(6):
        batch = _exits(0, sequence, 2 * sequence, 2 * sequence + 1)
        batch = replace(batch, livelocks=[livelock(f"{1:016x}", began=sequence, second=sequence)])
        assert store.apply(batch, START_NS)
    whole, _ = _follow(store, 0, limit=100)
    kinds = [item.kind.value for item in whole]
    assert Counter(kinds) == {"exit": 12, "livelock": 6}
    # Those of a batch are together.
    assert all(kinds[first : first + 3].count("livelock") == 1 for first in range(0, 18, 3))
    for limit in (1, 2, 5):
        assert _follow(store, 0, limit=limit)[0] == whole


def test_a_number_is_not_given_again_once_its_exit_is_removed(store: Store) -> None:
    store.apply(_exits(0, 0, 0), START_NS)
    store.apply(_exits(1, 0, 0, 1, 2), START_NS)
    _, place = _follow(store, 0)
    store.remove_host("host-1")
    assert store.settled().newest == place
    store.apply(_exits(0, 1, 7), START_NS)
    found, _ = _follow(store, place)
    assert _names(found) == [("host-0", 7)]


def test_what_is_no_longer_kept_does_not_come_and_it_is_known_from_when_on_all_does(store: Store) -> None:
    take_jobs(store)
    store.apply(_exits(0, 0, 0), START_NS)
    store.apply(_exits(0, 1, 1, second=3 * HOUR_S), START_NS + (3 * HOUR_S + 60) * NS_PER_S)
    assert store.arrivals(0, store.settled().to, limit=9).kept_from_s is None
    store.set_ages({**SHORT, Kept.EXITS: HOUR_S})
    run(store, 3 * HOUR_S)
    page = store.arrivals(0, store.settled().to, limit=9)
    assert [item.item.record.vcpu for item in page.items] == [1]
    assert page.kept_from_s == START_NS // NS_PER_S + 2 * HOUR_S
    assert sum(one.count for one in store.arrival_counts(0, page.to)) == 1


def test_exits_between_two_numbers_are_counted_by_vm(store: Store) -> None:
    store.apply(_exits(0, 0, 0), START_NS)
    _, place = _follow(store, 0)
    store.apply(_exits(0, 1, 1, 2, second=1), START_NS)
    store.apply(_exits(1, 0, 1, 2, 3, second=5), START_NS)
    store.apply(_exits(0, 2, 3, second=9), START_NS)
    counts = {
        one.vm.host: (one.count, one.first_ns, one.last_ns)
        for one in store.arrival_counts(place, store.settled().to)
    }
    at = [START_NS + second * NS_PER_S for second in range(10)]
    assert counts == {"host-0": (3, at[1], at[9]), "host-1": (3, at[5], at[5])}


def test_what_another_is_storing_holds_back_what_was_numbered_behind_it(postgresql_url: str) -> None:
    migrate(postgresql_url)
    with closing(open_store(postgresql_url)) as ours, closing(open_store(postgresql_url)) as theirs:
        ours.apply(_exits(0, 0, 0), START_NS)
        _, place = _follow(ours, 0)
        assert isinstance(theirs, SqlStore)
        for sequence, is_undone in enumerate((False, True), 1):
            with pytest.raises(_UndoneError) if is_undone else nullcontext(), theirs.writing() as writer:
                taken = writer.next_positions(3)
                ours.apply(_exits(0, sequence, sequence), START_NS)
                assert ours.settled() == (place, place + 4)
                assert _follow(ours, place) == ([], place)
                if is_undone:
                    raise _UndoneError
            assert list(taken) == [place + 1, place + 2, place + 3]
            found, place = _follow(ours, place)
            assert _names(found) == [("host-0", sequence)]
            assert ours.settled() == (place, place)


def test_a_copy_gives_no_number_that_was_given_before(new_url: NewUrl) -> None:
    with closing(open_store(new_url())) as source, closing(open_store(new_url())) as target:
        source.apply(_exits(0, 0, 0), START_NS)
        source.apply(_exits(1, 0, 0, 1, 2), START_NS)
        _, place = _follow(source, 0)
        source.remove_host("host-1")
        assert isinstance(source, SqlStore)
        assert isinstance(target, SqlStore)
        copy(source, target, lambda *_: None)
        target.apply(_exits(0, 1, 7), START_NS)
        found, _ = _follow(target, place)
        assert _names(found) == [("host-0", 7)]
        assert _names(_follow(target, 0)[0]) == [("host-0", 0), ("host-0", 7)]
