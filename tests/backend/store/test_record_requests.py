# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM: who may be asked, what a host is asked, and what it answers."""

from typing import Any

import msgspec
import pytest

from backend.errors import NotFoundError, NotNowError, NotPossibleError
from backend.store.contract import record_requests
from backend.store.contract.record_requests import OpenRequest, Recorded
from backend.store.contract.store import Store
from faultmodel.kinds import HostState, RecordEnd, RecordingLevel
from faultmodel.record import Collector, Vm
from faultmodel.record_answers import MOST_OPEN, RecordAnswer
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, START_NS, make_batch, make_host, make_vm

NOW_NS = START_NS + 60 * NS_PER_S
VM = "00000000000000a1"
REQUEST = "000000000000000a"
OTHER = "000000000000000b"
TAKES = Collector(takes_requests=True)


def _batch(number: int = 0, *, host: str = "host-1", stream: str = "5", **content: Any) -> Batch:
    return make_batch(number, stream=stream * 32, host=make_host(host, collector=TAKES), **content)


def _answer(*, seconds: int = 1, request: str = REQUEST, part: int = 0, **fields: Any) -> RecordAnswer:
    values: dict[str, Any] = {
        "time_ns": START_NS + seconds * NS_PER_S,
        "is_found": True,
        "level": RecordingLevel.ALL,
        "all_ns": seconds * NS_PER_S,
    }
    return RecordAnswer(request=request, part=part, **(values | fields))


def _recorded(store: Store, request: str = REQUEST) -> Recorded:
    recorded = next(one.recorded for one in store.record_requests(VM) if one.id == request)
    assert recorded is not None
    return recorded


def _ask(store: Store, request: str = REQUEST, *, vm: str = VM, seconds: int = 30, after: int = 0) -> None:
    store.add_record_request(vm, request, seconds, "t" * 64, NOW_NS + after * NS_PER_S)


@pytest.fixture
def asked(store: Store) -> Store:
    """Return a store with a VM, and a request to record it."""
    store.apply(_batch(vms=[make_vm(VM)]), NOW_NS)
    _ask(store)
    return store


def test_a_request_is_told_to_its_host_until_its_time_is_over(asked: Store) -> None:
    assert asked.open_record_requests(NOW_NS + 10 * NS_PER_S) == {
        "host-1": [OpenRequest(REQUEST, VM, 20 * NS_PER_S)]
    }
    assert asked.open_record_requests(NOW_NS + 30 * NS_PER_S) == {}
    (found,) = asked.record_requests(VM)
    assert (found.id, found.vm, found.host, found.seconds) == (REQUEST, VM, "host-1", 30)
    assert (found.asked_ns, found.ends_ns) == (NOW_NS, NOW_NS + 30 * NS_PER_S)
    assert (found.token, found.heard_ns, found.withdrawn_ns, found.recorded) == ("t" * 64, NOW_NS, None, None)


def test_a_host_is_told_of_a_vm_by_the_id_that_it_gave(store: Store) -> None:
    for host in ("host-1", "host-2"):
        store.apply(_batch(host=host, vms=[make_vm(VM)]), NOW_NS)
    other = next(id for id in (vm.id for vm in store.lives_at_once()) if id != VM)
    _ask(store, vm=other)
    (orders,) = store.open_record_requests(NOW_NS).values()
    assert orders[0].vm == VM


def test_one_that_is_withdrawn_is_told_as_such_until_the_host_says_that_it_is_over(asked: Store) -> None:
    asked.withdraw_record_request(VM, REQUEST, NOW_NS + NS_PER_S)
    asked.withdraw_record_request(VM, REQUEST, NOW_NS + 2 * NS_PER_S)
    assert asked.record_requests(VM)[0].withdrawn_ns == NOW_NS + NS_PER_S
    assert asked.open_record_requests(NOW_NS) == {"host-1": [OpenRequest(REQUEST, VM, 0)]}

    asked.apply(_batch(1, record_answers=[_answer(end=RecordEnd.WITHDRAWN)]), NOW_NS)
    assert asked.open_record_requests(NOW_NS) == {}
    assert _recorded(asked).end is RecordEnd.WITHDRAWN


def test_what_is_over_is_not_withdrawn(asked: Store) -> None:
    asked.withdraw_record_request(VM, REQUEST, NOW_NS + 30 * NS_PER_S)
    assert asked.record_requests(VM)[0].withdrawn_ns is None


@pytest.mark.parametrize("request_id", [OTHER, "", "a\0"])
def test_there_is_no_other_request(asked: Store, request_id: str) -> None:
    with pytest.raises(NotFoundError):
        asked.withdraw_record_request(VM, request_id, NOW_NS)
    asked.apply(_batch(1, vms=[make_vm("00000000000000a2")]), NOW_NS)
    with pytest.raises(NotFoundError, match="has no request"):
        asked.withdraw_record_request("00000000000000a2", REQUEST, NOW_NS)


def test_there_is_no_request_of_a_vm_that_is_not_known(store: Store) -> None:
    with pytest.raises(NotFoundError):
        _ask(store)
    with pytest.raises(NotFoundError):
        store.record_requests(VM)


def test_the_newest_answer_of_a_collector_is_kept_whichever_comes_last(asked: Store) -> None:
    later = _answer(seconds=4, seen=9, recorded=7, dropped=1, late=1, missed=2, dropped_batches=3)
    later = msgspec.structs.replace(later, sample_ns=2, none_ns=3, cpu_ns=5, usual_cpu_ns=4)
    asked.apply(_batch(2, record_answers=[later]), NOW_NS)
    asked.apply(_batch(1, record_answers=[_answer(seconds=2, seen=4)]), NOW_NS)
    found = _recorded(asked)
    assert found.sums == later
    assert found.level_ns == {
        RecordingLevel.ALL: 4 * NS_PER_S,
        RecordingLevel.SAMPLE: 2,
        RecordingLevel.NONE: 3,
    }
    assert (found.began_ns, found.to_ns) == (START_NS - 5, START_NS + 4 * NS_PER_S)
    assert (found.level, found.end, found.is_found) == (RecordingLevel.ALL, None, True)


def test_an_answer_that_is_sent_again_counts_once(asked: Store) -> None:
    batch = _batch(1, record_answers=[_answer(seen=4, recorded=4)])
    assert asked.apply(batch, NOW_NS)
    assert not asked.apply(batch, NOW_NS)
    assert _recorded(asked).sums.seen == 4


def test_the_sums_of_a_collector_that_began_anew_are_added(asked: Store) -> None:
    held_back: Any = {"used_ppm": 30_000, "granted_ppm": 20_000}
    first = _answer(seconds=5, seen=5, recorded=4, cpu_ns=50, usual_cpu_ns=40, **held_back)
    asked.apply(_batch(1, record_answers=[first]), NOW_NS)
    second = _answer(seconds=9, all_ns=2 * NS_PER_S, seen=3, recorded=3, cpu_ns=7, end=RecordEnd.TIME)
    asked.apply(_batch(stream="6", record_answers=[second]), NOW_NS + NS_PER_S)
    third = _answer(seconds=8, part=1, all_ns=NS_PER_S, seen=2, recorded=1, cpu_ns=1)
    asked.apply(_batch(2, record_answers=[third]), NOW_NS)
    found = _recorded(asked)
    assert (found.sums.seen, found.sums.recorded, found.sums.cpu_ns) == (10, 8, 58)
    assert found.level_ns[RecordingLevel.ALL] == 8 * NS_PER_S
    assert (found.began_ns, found.to_ns) == (START_NS, START_NS + 9 * NS_PER_S)
    # Of the newest: why less was recorded is kept of the one before, and what was usual is not known of all.
    assert (found.end, found.sums.usual_cpu_ns) == (RecordEnd.TIME, None)
    assert (found.sums.used_ppm, found.sums.granted_ppm) == (30_000, 20_000)


def test_a_collector_that_does_not_know_the_vm_says_so_until_it_does(asked: Store) -> None:
    nothing = _answer(is_found=False, all_ns=0, level=RecordingLevel.NONE)
    asked.apply(_batch(1, record_answers=[nothing]), NOW_NS)
    assert (_recorded(asked).was_found, _recorded(asked).is_found) == (False, False)
    asked.apply(_batch(2, record_answers=[_answer(seen=1)]), NOW_NS)
    assert (_recorded(asked).was_found, _recorded(asked).is_found) == (True, True)
    # Another one begins after it, which does not know the VM yet.
    later_ns = NOW_NS + record_requests.LATELY_NS + 1
    asked.apply(_batch(stream="6", record_answers=[nothing]), later_ns)
    assert (_recorded(asked).was_found, _recorded(asked).is_found) == (True, False)
    assert _recorded(asked).sums.seen == 1


def test_what_another_host_answers_is_left_out(asked: Store) -> None:
    asked.apply(_batch(host="host-2", record_answers=[_answer(seen=4)]), NOW_NS)
    asked.apply(_batch(1, record_answers=[_answer(request=OTHER)]), NOW_NS)
    assert asked.record_requests(VM)[0].recorded is None


def test_a_host_that_begins_anew_again_and_again_fills_nothing(asked: Store) -> None:
    parts = [_answer(part=part, seen=1) for part in range(record_requests.MOST_PARTS + 4)]
    asked.apply(_batch(1, record_answers=parts[:40]), NOW_NS)
    asked.apply(_batch(2, record_answers=parts[40:]), NOW_NS)
    asked.apply(_batch(3, record_answers=[_answer(part=0, seen=2)]), NOW_NS)
    assert _recorded(asked).sums.seen == record_requests.MOST_PARTS + 1


def test_several_requests_for_a_vm_are_answered_apart_newest_first(asked: Store) -> None:
    _ask(asked, OTHER, after=1)
    asked.apply(_batch(1, record_answers=[_answer(seen=3), _answer(request=OTHER, seen=2)]), NOW_NS)
    assert [one.id for one in asked.record_requests(VM)] == [OTHER, REQUEST]
    assert (_recorded(asked).sums.seen, _recorded(asked, OTHER).sums.seen) == (3, 2)


def test_only_so_many_are_open_of_a_host_and_another_host_has_its_own(store: Store) -> None:
    for host, vm in (("host-1", VM), ("host-2", "00000000000000b2")):
        store.apply(_batch(host=host, vms=[make_vm(vm)]), NOW_NS)
    for number in range(MOST_OPEN):
        _ask(store, f"{number:016x}")
    with pytest.raises(NotNowError, match="10 requests of host host-1 are open already"):
        _ask(store)
    _ask(store, OTHER, vm="00000000000000b2")
    store.withdraw_record_request(VM, f"{3:016x}", NOW_NS)
    _ask(store, "f" * 16)
    with pytest.raises(NotNowError):
        _ask(store)
    _ask(store, after=30)


def test_whoever_withdraws_again_and_again_fills_nothing(store: Store) -> None:
    store.apply(_batch(vms=[make_vm(VM)]), NOW_NS)
    for number in range(record_requests.MOST_NOT_OVER):
        _ask(store, f"{number:016x}")
        store.withdraw_record_request(VM, f"{number:016x}", NOW_NS)
    with pytest.raises(NotNowError, match="50 requests of host host-1 were made"):
        _ask(store, OTHER)


def test_of_all_hosts_only_so_many_are_there(asked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.store.sql.catalog.record_requests.MOST_IN_ALL", 1)
    asked.apply(_batch(host="host-2", vms=[make_vm("00000000000000b2")]), NOW_NS)
    with pytest.raises(NotNowError, match="1 requests of all hosts"):
        _ask(asked, OTHER, vm="00000000000000b2")


def test_old_ones_are_forgotten_with_what_was_answered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.store.sql.catalog.record_requests.MOST_KEPT", 3)
    store.apply(_batch(vms=[make_vm(VM)]), NOW_NS)
    for number in range(5):
        _ask(store, f"{number:016x}", seconds=1, after=number)
        answer = _answer(request=f"{number:016x}")
        store.apply(_batch(number + 1, record_answers=[answer]), NOW_NS)
    assert [one.id[-1] for one in store.record_requests(VM)] == ["4", "3", "2"]
    _ask(store, OTHER, after=record_requests.KEPT_NS // NS_PER_S + 4)
    assert [one.id[-1] for one in store.record_requests(VM)] == ["b", "4", "3"]


@pytest.mark.parametrize("ended", [make_vm(VM, ended_ns=NOW_NS), None])
def test_of_a_vm_that_has_ended_nothing_can_be_recorded(store: Store, ended: Vm | None) -> None:
    store.apply(_batch(vms=[ended or make_vm(VM)]), NOW_NS)
    if ended is None:
        booted = make_host(collector=TAKES, boot_id="00000000-0000-0000-0000-00000000b007")
        store.apply(make_batch(1, stream="5" * 32, host=booted), NOW_NS)
    with pytest.raises(NotPossibleError, match="the VM has ended"):
        _ask(store)


def test_of_a_recording_nothing_can_be_recorded(store: Store) -> None:
    recording = make_host("host-1/trace", state=HostState.REPLAY)
    store.apply(make_batch(host=recording, vms=[make_vm(VM)]), NOW_NS)
    with pytest.raises(NotPossibleError, match="recording"):
        _ask(store)


@pytest.mark.parametrize("collector", [None, Collector(program="/usr/bin/x")])
def test_a_collector_of_an_earlier_release_cannot(store: Store, collector: Collector | None) -> None:
    host = make_host(collector=collector, collector_version="0.5.0")
    store.apply(make_batch(host=host, vms=[make_vm(VM)]), NOW_NS)
    with pytest.raises(NotPossibleError, match=r"of an earlier release \(0.5.0\)"):
        _ask(store)


@pytest.mark.parametrize("what", ["vm", "host"])
def test_with_its_vm_or_host_a_request_is_gone(asked: Store, what: str) -> None:
    asked.apply(_batch(1, record_answers=[_answer(seen=4)]), NOW_NS)
    if what == "vm":
        asked.remove_vm(VM)
    else:
        asked.remove_host("host-1")
    assert asked.open_record_requests(NOW_NS) == {}
    # What its host still answers to it changes nothing.
    asked.apply(_batch(2, vms=[make_vm(VM)], record_answers=[_answer(seen=5)]), NOW_NS)
    assert list(asked.record_requests(VM)) == []


def test_a_host_whose_clock_is_wrong_answers_with_times_that_can_be(asked: Store) -> None:
    far_ns = NOW_NS + 10**6 * NS_PER_S
    asked.apply(_batch(1, record_answers=[_answer(time_ns=far_ns, seen=4)]), NOW_NS)
    found = _recorded(asked)
    assert (found.to_ns, found.began_ns, found.sums.seen) == (NOW_NS, NOW_NS - NS_PER_S, 4)
