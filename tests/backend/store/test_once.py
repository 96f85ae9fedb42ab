# SPDX-License-Identifier: Apache-2.0
"""What several parts of an answer need is read once, in one state of the store."""

from threading import Thread

from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from tests.backend.serving import NOW_NS
from tests.backend.store.statements import asked
from tests.batches import START_MS, make_batch, make_host

_HOUR_MS = 3_600_000


def _read(store: Store) -> object:
    """Read what nearly every part of an answer does."""
    return (
        store.version(),
        store.host_names(),
        store.live_hosts(None),
        store.kept_levels(),
        store.as_of(None),
        store.coverage(None, TimeRange()),
        store.known_hosts(recordings=1),
    )


def test_what_is_asked_again_in_one_state_is_not_read_again(store: Store) -> None:
    store.apply(make_batch(sequence=0), NOW_NS)
    with store.snapshot(), asked() as texts:
        first = _read(store)
        once = len(texts)
        assert _read(store) == first
        assert len(texts) == once


def test_coverage_of_ranges_that_nearly_are_one_is_read_once(store: Store) -> None:
    store.apply(make_batch(sequence=0), NOW_NS)
    hour = TimeRange(START_MS // _HOUR_MS * _HOUR_MS, (START_MS // _HOUR_MS + 1) * _HOUR_MS)
    with store.snapshot(), asked() as texts:
        (whole,) = store.coverage(None, hour)
        once = len(texts)
        within = TimeRange(whole.from_ms + 1, whole.to_ms - 1)
        assert store.coverage(None, within) == [CoveredSpan(whole.host, whole.from_ms + 1, whole.to_ms - 1)]
        assert store.coverage(None, TimeRange(whole.to_ms, whole.to_ms + 1)) == []
        assert len(texts) == once


def test_what_is_written_meanwhile_is_read_in_the_next_state(store: Store) -> None:
    def write(name: str) -> None:
        # A thread of its own: this one reads one state.
        thread = Thread(target=store.apply, args=(make_batch(host=make_host(name)), NOW_NS))
        thread.start()
        thread.join()

    write("host-1")
    with store.snapshot():
        assert store.host_names() == ["host-1"]
        write("host-2")
        assert store.host_names() == ["host-1"]
    with store.snapshot():
        assert store.host_names() == ["host-1", "host-2"]
        assert sorted(store.version().values()) == [1, 1]
    assert store.host_names() == ["host-1", "host-2"]
