# SPDX-License-Identifier: Apache-2.0
"""What the server asks to be recorded: as receipts bring it, and what it gets to know of it."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from collector.probe.layout import RecordLevel, VmKey
from collector.sampling.governor import Governor
from collector.sampling.policy import SamplingPolicy
from collector.sampling.requests import RecordRequest, RecordRequests
from collector.sampling.server_requests import Asked, ServerRequest, ServerRequests
from collector.ship.answer import judge
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.queue import Spool
from faultmodel.kinds import LossKind, RecordEnd, RecordingLevel
from faultmodel.record import Cost, Loss, Vm
from faultmodel.record_answers import RecordAnswer
from faultmodel.sections import Content
from tests.batches import ledger_entry, make_vm
from tests.collector.server import Reply, serve

SECOND = 1_000_000_000
WEB, DB = VmKey(1, 7), VmKey(2, 8)
VMS = {
    WEB: make_vm("00000000000000a1", pid=4242, name="web"),
    DB: make_vm("00000000000000a2", pid=4343, name="db"),
}
ID, OTHER = "00000000000000aa", "00000000000000bb"


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requests(clock: Clock) -> ServerRequests:
    return ServerRequests(monotonic=clock)


def _asked(seconds: float, id: str = ID, vm: Vm = VMS[WEB]) -> Asked:
    return Asked(id, vm.id, seconds)


def _active(requests: ServerRequests) -> list[str]:
    return [request.id for request in requests.active()]


def test_a_request_goes_on_until_its_seconds_have_passed(requests: ServerRequests, clock: Clock) -> None:
    requests.take([_asked(5.0)])
    clock.now_s += 4.9
    assert list(requests.active()) == [ServerRequest(ID, VMS[WEB].id)]
    clock.now_s += 0.2
    assert _active(requests) == []


def test_a_receipt_that_does_not_name_it_ends_nothing(requests: ServerRequests, clock: Clock) -> None:
    requests.take([_asked(5.0)])
    requests.take([])
    assert _active(requests) == [ID]
    clock.now_s += 3
    requests.take([_asked(5.0), _asked(9.0, OTHER)])
    clock.now_s += 4
    assert _active(requests) == [ID, OTHER]


def test_what_was_withdrawn_stays_so_whatever_another_server_says(
    requests: ServerRequests, clock: Clock
) -> None:
    requests.take([_asked(60.0)])
    requests.take([_asked(0.0), _asked(0.0, OTHER)])
    assert _active(requests) == []
    assert requests.is_withdrawn(ServerRequest(ID, VMS[WEB].id))
    clock.now_s += 5
    requests.take([_asked(55.0), _asked(55.0, OTHER)])
    assert _active(requests) == []


def test_nobody_fills_the_memory_or_asks_for_ever(requests: ServerRequests, clock: Clock) -> None:
    requests.take([_asked(1e300, f"{number:016x}") for number in range(200)])
    assert len(requests.active()) == 64
    requests.take([_asked(-1.0, f"{number:016x}") for number in range(200, 300)])
    clock.now_s += 3600
    assert _active(requests) == []
    clock.now_s += 61
    requests.take([_asked(1.0)])
    assert _active(requests) == [ID]


class Desk:
    """A policy, and what the server asks of it."""

    def __init__(
        self, directory: Path, requests: ServerRequests, clock: Clock, *, budget: float = 0.0
    ) -> None:
        self.requests, self._clock, self._seconds = requests, clock, itertools.count(1)
        self.file = RecordRequests(directory / "requests.json")
        self.orders: list[dict[VmKey, RecordLevel]] = []
        self._policy = SamplingPolicy(self, RecordLevel.SAMPLE, 10, Governor(budget), self.file, requests)

    def record(self, _level: RecordLevel, _spacing_ns: int, of_vms: Mapping[VmKey, RecordLevel]) -> None:
        """Take what the programs would."""
        self.orders.append(dict(of_vms))

    def read(
        self,
        *,
        seen: int = 0,
        recorded: int = 0,
        vms: Mapping[VmKey, Vm] = VMS,
        share: float = 0.0,
        missed: int = 0,
        dropped_batches: int = 0,
    ) -> list[RecordAnswer]:
        """Take a reading of a second, and return the answers to the server."""
        to_ns = next(self._seconds) * SECOND
        self._clock.now_s += 1
        entries = [ledger_entry(VMS[WEB].id, seen=seen, recorded=recorded), ledger_entry(VMS[DB].id, seen=99)]
        content = Content(ledger=entries, lost=[Loss(LossKind.MISSED_RUNS, missed)])
        cost = Cost(from_ns=to_ns - SECOND, to_ns=to_ns, cpu_ns=round(share * SECOND), resident_bytes=1)
        return list(self._policy.adjust(vms, content, cost, to_ns, dropped_batches).answers)


@pytest.fixture
def desk(tmp_path: Path, requests: ServerRequests, clock: Clock) -> Desk:
    return Desk(tmp_path, requests, clock)


def test_the_vm_is_recorded_in_full_and_the_server_told_what_became_of_it(desk: Desk) -> None:
    assert desk.read(seen=7) == []
    desk.requests.take([_asked(3.5)])
    (begun,) = desk.read(seen=7)
    assert (begun.request, begun.is_found, begun.level, begun.end) == (ID, True, RecordingLevel.ALL, None)
    assert (begun.all_ns, begun.seen, begun.time_ns) == (0, 0, 2 * SECOND)
    # The reading that begins the time has faults from before the request.
    desk.read(seen=100, recorded=3)
    (going,) = desk.read(seen=5, recorded=4, missed=2, dropped_batches=1)
    assert (going.seen, going.recorded, going.missed, going.dropped_batches) == (5, 4, 2, 1)
    (over,) = desk.read(seen=6, recorded=6, dropped_batches=1)
    assert (over.seen, over.recorded, over.all_ns, over.end) == (11, 10, 2 * SECOND, RecordEnd.TIME)
    assert desk.read(seen=9) == [over]
    assert desk.orders == [{}, {WEB: RecordLevel.ALL}, {}]


def test_what_is_told_goes_after_a_while(desk: Desk) -> None:
    desk.requests.take([_asked(2.0)])
    numbers = [len(desk.read()) for _ in range(40)]
    assert numbers[0] == 1
    assert numbers[-1] == 0


def test_one_that_is_withdrawn_ends_with_the_reading(desk: Desk) -> None:
    desk.requests.take([_asked(60.0)])
    desk.read()
    desk.requests.take([_asked(0.0)])
    (over,) = desk.read()
    assert over.end is RecordEnd.WITHDRAWN
    assert desk.orders[-1] == {}


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_with_its_vm_it_ends_for_good(desk: Desk, is_forgotten: bool) -> None:
    desk.requests.take([_asked(60.0)])
    desk.read()
    ended = msgspec.structs.replace(VMS[WEB], ended_ns=3 * SECOND)
    left = {DB: VMS[DB]} if is_forgotten else {**VMS, WEB: ended}
    desk.read(vms=left)
    (over,) = desk.read(vms=left)
    assert (over.end, over.is_found) == (RecordEnd.VM_ENDED, True)
    # The server may not have heard of it yet.
    for _ in range(40):
        desk.requests.take([_asked(60.0)])
        answers = desk.read(vms=left)
    assert answers == []


def test_that_the_vm_is_not_known_is_told_until_it_is(desk: Desk) -> None:
    desk.requests.take([_asked(60.0)])
    (unknown,) = desk.read(vms={DB: VMS[DB]})
    assert (unknown.is_found, unknown.level, unknown.end) == (False, RecordingLevel.NONE, None)
    (known,) = desk.read()
    assert (known.is_found, known.level) == (True, RecordingLevel.ALL)


def test_a_vm_is_named_by_its_id_alone(desk: Desk) -> None:
    desk.requests.take([Asked(ID, "web", 60.0)])
    assert [answer.is_found for answer in desk.read()] == [False]


def test_several_requests_for_a_vm_and_the_operators_stand_beside_each_other(desk: Desk) -> None:
    desk.file.add(RecordRequest("web", 60 * SECOND), 0)
    desk.requests.take([_asked(60.0), _asked(2.0, OTHER)])
    assert {answer.request for answer in desk.read()} == {ID, OTHER}
    desk.read()
    ends = {answer.request: answer.end for answer in desk.read()}
    assert ends == {ID: None, OTHER: RecordEnd.TIME}
    desk.requests.take([_asked(0.0)])
    desk.read()
    assert desk.orders == [{WEB: RecordLevel.ALL}]
    assert desk.file.answer_to(RecordRequest("web", 60 * SECOND)) is not None


def test_what_the_budget_did_not_allow_is_told_as_figures(
    tmp_path: Path, requests: ServerRequests, clock: Clock
) -> None:
    desk = Desk(tmp_path, requests, clock, budget=0.02)
    requests.take([_asked(60.0)])
    for _ in range(10):
        (answer,) = desk.read(share=0.05)
    assert (answer.level, answer.used_ppm, answer.granted_ppm) == (RecordingLevel.SAMPLE, 50_000, 20_000)
    assert answer.all_ns + answer.sample_ns == 8 * SECOND
    assert answer.sample_ns > 0


def test_what_it_cost_is_told_beside_what_is_usual(desk: Desk) -> None:
    for _ in range(4):
        desk.read(share=0.01)
    desk.requests.take([_asked(60.0)])
    desk.read(share=0.01)
    desk.read(share=0.5)
    for _ in range(3):
        (answer,) = desk.read(share=0.04)
    assert answer.cpu_ns == 120_000_000
    assert answer.usual_cpu_ns == 30_000_000


def test_what_was_usual_is_not_known_of_a_collector_that_just_began(desk: Desk) -> None:
    desk.requests.take([_asked(60.0)])
    (answer,) = desk.read(share=0.04)
    assert answer.usual_cpu_ns is None


def test_another_run_of_readings_has_sums_of_its_own(
    tmp_path: Path, requests: ServerRequests, clock: Clock
) -> None:
    requests.take([_asked(60.0)])
    parts = [Desk(tmp_path, requests, clock).read()[0].part for _ in range(2)]
    assert parts == [0, 1]


def _receipt(record: object) -> bytes:
    return msgspec.json.encode({"applied": True, "record": record})


def test_a_receipt_says_what_is_asked_for() -> None:
    body = _receipt([{"id": ID, "vm": VMS[WEB].id, "seconds": 5, "more": 1}])
    assert judge(200, "OK", {}, body, b"").asked == (Asked(ID, VMS[WEB].id, 5.0),)
    many = [{"id": f"{number:016x}", "vm": VMS[WEB].id, "seconds": 1.5} for number in range(300)]
    assert len(judge(200, "OK", {}, _receipt(many), b"").asked) == 64


@pytest.mark.parametrize(
    "record",
    [
        *(None, 5, "x", [5], [{}]),
        [{"id": ID, "vm": VMS[WEB].id}],
        [{"id": ID, "vm": "web", "seconds": 5}],
        [{"id": "../../x", "vm": VMS[WEB].id, "seconds": 5}],
        [{"id": ID, "vm": VMS[WEB].id, "seconds": "5"}],
    ],
)
def test_what_cannot_be_read_of_it_costs_no_receipt(record: object) -> None:
    answer = judge(200, "OK", {}, _receipt(record), b"")
    assert (answer.verdict, answer.asked) == ("accepted", ())


def test_a_receipt_of_an_earlier_server_asks_for_nothing() -> None:
    assert judge(200, "OK", {}, b'{"applied":true}', b"").asked == ()


def test_the_shipper_hands_over_what_receipts_ask_for(tmp_path: Path, requests: ServerRequests) -> None:
    body = _receipt([{"id": ID, "vm": VMS[WEB].id, "seconds": 60}])
    with Spool(tmp_path / "spool") as spool, serve(Reply(body=body)) as server:
        shipper = Shipper(spool, Uplink(server.url), requests.take)
        shipper.start()
        spool.put(b"batch")
        server.next_request()
        assert shipper.flush(20)
    assert _active(requests) == [ID]
