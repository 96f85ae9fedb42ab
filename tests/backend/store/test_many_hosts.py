# SPDX-License-Identifier: Apache-2.0
"""However much one token brings, all that is answered of hosts stays bounded."""

import pytest
from sqlalchemy import func, insert, select

from backend.errors import NotNowError
from backend.store.contract.store import Store
from backend.store.sql.catalog.hosts import MOST_RECORDINGS
from backend.store.sql.catalog.sources import MOST_FINDINGS, MOST_OTHERS, MOST_SOURCES
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import findings, hosts, sources
from faultmodel.kinds import HostState
from faultmodel.problem import ProblemCode
from faultmodel.record import Span
from tests.batches import NS_PER_S, START_NS, make_batch, make_host

HOUR_NS = 3600 * NS_PER_S


def bring_recordings(store: Store, owner: str, number: int) -> None:
    """Store so many recordings below a name, each heard of a ns after the one before."""
    assert isinstance(store, SqlStore)
    store.apply(make_batch(host=make_host(f"{owner}/0", state=HostState.REPLAY), stream="0" * 32), START_NS)
    with store.writing() as writer:
        first = writer.connection.execute(select(hosts).where(hosts.c.name == f"{owner}/0")).one()._asdict()
        del first["id"]
        names = [f"{owner}/{place}" for place in range(1, number)]
        rows = [
            first | {"name": name, "reported_name": name, "last_batch_ns": START_NS + place}
            for place, name in enumerate(names, 1)
        ]
        writer.connection.execute(insert(hosts), rows)


def test_recordings_below_a_name_are_bounded_and_others_are_taken(store: Store) -> None:
    bring_recordings(store, "h", MOST_RECORDINGS)
    with pytest.raises(NotNowError, match="remove some on the server with kvmfaults-server host") as refused:
        store.apply(make_batch(host=make_host("h/a/new", state=HostState.REPLAY), stream="1" * 32), START_NS)
    assert refused.value.code is ProblemCode.QUOTA
    # Those that are there go on, and a live host and another's recording are taken.
    assert store.apply(
        make_batch(1, host=make_host("h/7", state=HostState.REPLAY), stream="2" * 32), START_NS
    )
    assert store.apply(make_batch(host=make_host("h"), stream="3" * 32), START_NS)
    assert store.apply(make_batch(host=make_host("hh/1", state=HostState.REPLAY), stream="4" * 32), START_NS)
    store.remove_host("h/8")
    assert store.apply(make_batch(host=make_host("h/new", state=HostState.REPLAY), stream="1" * 32), START_NS)


def test_the_newest_recordings_are_listed_and_the_others_counted(store: Store) -> None:
    store.apply(make_batch(host=make_host("live"), stream="5" * 32), START_NS)
    bring_recordings(store, "h", 30)
    listed = store.hosts(recordings=10)
    assert [host.name for host in listed] == [*sorted(f"h/{place}" for place in range(20, 30)), "live"]
    known = store.known_hosts(recordings=10)
    assert known.listed == [host.name for host in listed]
    assert (known.left_out, known.number) == (20, 31)
    assert set(known.taken_ns) == {"live", "h"}
    assert len(store.hosts()) == 31


def add_sources(store: Store, number: int, last_ns: int) -> None:
    """Make so many sources of the one host that there is."""
    assert isinstance(store, SqlStore)
    with store.writing() as writer:
        first = writer.connection.execute(select(sources)).first()
        assert first is not None
        same = first._asdict()
        del same["id"]
        rows = [same | {"counting": f"{place:032x}", "last_ns": last_ns} for place in range(number)]
        writer.connection.execute(insert(sources), rows)


def test_so_many_collectors_of_a_host_may_count_within_an_hour(store: Store) -> None:
    store.apply(make_batch(0), START_NS)
    add_sources(store, MOST_SOURCES - 1, START_NS)
    new = make_batch(0, stream="f" * 32, counting="f" * 32)
    with pytest.raises(NotNowError, match="have counted within an hour") as refused:
        store.apply(new, START_NS + 1)
    assert refused.value.code is ProblemCode.QUOTA
    assert store.apply(make_batch(1), START_NS + 1)
    assert store.apply(make_batch(0, host=make_host("host-2"), stream="e" * 32, counting="e" * 32), START_NS)
    assert store.apply(new, START_NS + HOUR_NS + 2)


def test_what_is_found_of_a_host_is_bounded(store: Store) -> None:
    span = (Span(START_NS, START_NS + 20 * NS_PER_S),)
    number = 60
    for sequence in range(2):
        for place in range(number):
            batch = make_batch(sequence, stream=f"{place:032x}", counting=f"{place:032x}", covered=span)
            store.apply(batch, START_NS + sequence * NS_PER_S + place)
    assert isinstance(store, SqlStore)
    with store.writing() as writer:
        kept = writer.connection.scalar(select(func.count()).select_from(findings))
    assert kept == MOST_FINDINGS
    assert number > MOST_OTHERS
    assert len(store.findings()) == 20
