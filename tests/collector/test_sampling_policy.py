# SPDX-License-Identifier: Apache-2.0
"""What is recorded follows what is asked for and what the governor grants; each change is reported once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from collector.commands.record_report import is_whole, report
from collector.probe.layout import RecordLevel, VmKey
from collector.sampling.governor import Governor
from collector.sampling.policy import SamplingPolicy
from collector.sampling.requests import Answer, RecordRequest, RecordRequests
from collector.sampling.server_requests import ServerRequests
from faultmodel.kinds import LossKind
from faultmodel.record import Cost, EventFacts, HostEvent, Loss, Vm
from faultmodel.sections import Content
from tests.batches import ledger_entry, make_vm

NONE, SAMPLE, ALL = RecordLevel.NONE, RecordLevel.SAMPLE, RecordLevel.ALL
SECOND = 1_000_000_000
WEB, DB = VmKey(1, 7), VmKey(2, 8)
VMS = {
    WEB: make_vm("00000000000000a1", pid=4242, name="web", uuid="6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"),
    DB: make_vm("00000000000000a2", pid=4343, name="", uuid=""),
}
NOTHING = Content()

Event = tuple[str, str | None, str | None, str | None]
A_SAMPLE: Event = ("records", None, "sample", None)
WEB_IN_FULL: Event = ("vm_records", VMS[WEB].id, "all", "asked_for")
WEB_AS_OTHERS: Event = ("vm_records", VMS[WEB].id, "sample", "no_longer_asked_for")


class Programs:
    """Takes the orders that the programs would."""

    def __init__(self) -> None:
        self.orders: list[tuple[RecordLevel, int, dict[VmKey, RecordLevel]]] = []

    def record(self, level: RecordLevel, spacing_ns: int, of_vms: Mapping[VmKey, RecordLevel]) -> None:
        self.orders.append((level, spacing_ns, dict(of_vms)))


class Desk:
    """A policy, its programs, and the operator's requests."""

    def __init__(self, directory: Path, wanted: RecordLevel = SAMPLE, budget: float = 0.0) -> None:
        self.programs = Programs()
        self.requests = RecordRequests(directory / "requests.json")
        self.of_server = ServerRequests()
        self._recording = SamplingPolicy(
            self.programs, wanted, 10, Governor(budget), self.requests, self.of_server
        )

    def adjust(self, now_s: int, *, share: float = 0.0, vms: Mapping[VmKey, Vm] = VMS) -> list[Event]:
        """Take a reading of a second that cost this share of a core; return the events of it."""
        events = self.events(now_s, share=share, vms=vms)
        return [(event.kind, event.vm, event.level, event.reason) for event in events]

    def events(
        self,
        now_s: int,
        *,
        share: float = 0.0,
        vms: Mapping[VmKey, Vm] = VMS,
        content: Content = NOTHING,
        dropped_batches: int = 0,
    ) -> tuple[HostEvent, ...]:
        now_ns = now_s * SECOND
        cost = Cost(from_ns=now_ns, to_ns=now_ns + SECOND, cpu_ns=round(share * SECOND), resident_bytes=1)
        return self._recording.adjust(vms, content, cost, now_ns, dropped_batches).events

    def answer(self, request: RecordRequest) -> Answer:
        """What is said to a request."""
        answer = self.requests.answer_to(request)
        assert answer is not None
        return answer

    @property
    def is_asked(self) -> bool:
        """Whether somebody asks, and gets something."""
        return self._recording.is_asked

    def ask(self, vm: str, until_s: int) -> None:
        self.requests.add(RecordRequest(vm, until_s * SECOND), 0)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (NONE, ("records", None, "none", None)),
        (SAMPLE, A_SAMPLE),
        (ALL, ("records", None, "all", None)),
    ],
    ids=["none", "sample", "all"],
)
def test_what_is_recorded_is_reported_at_the_start_and_not_again(
    tmp_path: Path, wanted: RecordLevel, expected: Event
) -> None:
    desk = Desk(tmp_path, wanted)
    assert [desk.adjust(second) for second in range(3)] == [[expected], [], []]
    assert desk.programs.orders == [(wanted, SECOND // 10, {})]


@pytest.mark.parametrize("name", ["web", "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11", "00000000000000a1", "4242"])
def test_a_vm_that_is_asked_for_is_recorded_in_full_until_the_time_is_over(tmp_path: Path, name: str) -> None:
    desk = Desk(tmp_path)
    desk.adjust(0)
    desk.ask(name, 60)
    assert [desk.adjust(second) for second in (1, 59)] == [[WEB_IN_FULL], []]
    assert [desk.adjust(second) for second in (60, 61)] == [
        [WEB_AS_OTHERS],
        [],
    ]
    assert [of_vms for _, _, of_vms in desk.programs.orders] == [{}, {WEB: ALL}, {}]


def test_a_vm_is_named_by_its_id_whatever_it_is_called(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.adjust(0)
    desk.ask("4343", 60)
    assert desk.adjust(1) == [("vm_records", "00000000000000a2", "all", "asked_for")]


def test_a_request_for_a_vm_that_does_not_run_yet_waits_for_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 60)
    assert desk.adjust(1, vms={DB: VMS[DB]}) == [A_SAMPLE]
    assert desk.adjust(2) == [WEB_IN_FULL]


def test_a_request_ends_with_its_vm(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.adjust(0)
    desk.ask("web", 60)
    desk.adjust(1)
    assert desk.adjust(2, vms={DB: VMS[DB]}) == [WEB_AS_OTHERS]
    assert desk.programs.orders[-1][2] == {}


def test_changes_of_the_host_and_of_a_vm_are_of_different_kinds(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 60)
    kinds = [(event.kind, event.time_ns) for event in desk.events(1)]
    assert kinds == [("records", SECOND), ("vm_records", SECOND)]


def test_above_the_budget_the_sample_goes_and_the_event_says_why(tmp_path: Path) -> None:
    desk = Desk(tmp_path, budget=0.02)
    first, step = (event for second in range(10) for event in desk.events(second, share=0.05))
    assert (first.level, first.reason, first.facts) == ("sample", None, EventFacts(per_second=10))
    assert (step.level, step.reason) == ("none", "budget")
    assert step.facts == EventFacts(used_ppm=50_000, granted_ppm=20_000)
    assert [level for level, _, _ in desk.programs.orders] == [SAMPLE, NONE]


def test_above_the_budget_a_request_gives_way_before_the_sample(tmp_path: Path) -> None:
    desk = Desk(tmp_path, budget=0.02)
    desk.ask("web", 1000)
    for second in range(20):
        desk.adjust(second, share=0.05)
    assert [(level, of_vms) for level, _, of_vms in desk.programs.orders] == [
        (SAMPLE, {WEB: ALL}),
        (SAMPLE, {WEB: SAMPLE}),
        (NONE, {WEB: NONE}),
    ]


def test_somebody_asks_while_a_vm_is_recorded_that_was_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, budget=0.01)
    desk.ask("web", 60)
    desk.adjust(1, vms={DB: VMS[DB]})
    assert not desk.is_asked
    desk.adjust(2)
    assert desk.is_asked
    # Until even the sample is held back.
    for second in range(3, 40):
        desk.adjust(second, share=0.5)
    assert not desk.is_asked


def test_in_a_calm_everything_is_recorded_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ALL, budget=0.02)
    for second in range(20):
        desk.adjust(second, share=0.05)
    events = [event for second in range(20, 100) for event in desk.adjust(second, share=0.0)]
    assert events == [("records", None, "sample", "budget"), ("records", None, "all", "budget")]


def test_without_a_budget_nothing_gives_way(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ALL)
    assert [desk.adjust(second, share=0.9) for second in range(30)][1:] == [[]] * 29


A_REQUEST = RecordRequest("web", 60 * SECOND)


def _faults(*seen_and_recorded: int, vm: str = "00000000000000a1", missed: int = 0) -> Content:
    seen, recorded = seen_and_recorded
    return Content(
        ledger=[ledger_entry(vm, seen=seen, recorded=recorded)], lost=[Loss(LossKind.MISSED_RUNS, missed)]
    )


def test_what_was_recorded_is_summed_from_the_first_whole_reading_to_the_one_after_the_end(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 60)
    desk.events(1, content=_faults(1000, 10))
    assert desk.answer(A_REQUEST).since_ns == 0
    desk.events(2, content=_faults(1000, 990))
    assert (desk.answer(A_REQUEST).since_ns, desk.answer(A_REQUEST).seen) == (3 * SECOND, 0)
    desk.events(3, content=_faults(7, 7))
    desk.events(59, content=_faults(9, 5, vm="00000000000000a2"))
    assert not desk.answer(A_REQUEST).is_over
    desk.events(60, content=_faults(11, 11))
    desk.events(61, content=_faults(500, 1))
    last = desk.answer(A_REQUEST)
    assert (last.is_over, last.to_ns, last.seen, last.recorded) == (True, 61 * SECOND, 18, 18)
    assert last.level_ns == (0, 0, 3 * SECOND)


def test_a_vm_that_comes_later_has_all_its_faults_in_the_sum(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 60)
    desk.events(1)
    desk.events(2)
    other = make_vm("00000000000000a3", name="web", uuid="")
    desk.events(3, vms={**VMS, VmKey(3, 9): other}, content=_faults(20, 1, vm="00000000000000a3"))
    answer = desk.answer(A_REQUEST)
    assert ([vm.id for vm in answer.granted], answer.seen, answer.recorded) == (
        ["00000000000000a1", "00000000000000a3"],
        20,
        1,
    )
    # It was not known that it is meant until then: not all that was recorded was every fault.
    assert answer.late == 19
    desk.events(4, vms={**VMS, VmKey(3, 9): other}, content=_faults(20, 19, vm="00000000000000a3"))
    assert desk.answer(A_REQUEST).late == 19
    summary = report(desk.answer(A_REQUEST), "web")
    assert "left out: 19 faults of VMs that began meanwhile, before they were known" in summary
    assert "left out: 1 fault;" in summary


def test_batches_that_were_dropped_in_that_time_make_it_doubtful(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 60)
    for second, dropped in ((1, 3), (2, 5), (3, 5)):
        desk.events(second, content=_faults(7, 7), dropped_batches=dropped)
    assert is_whole(desk.answer(A_REQUEST))
    desk.events(4, content=_faults(7, 7), dropped_batches=7)
    answer = desk.answer(A_REQUEST)
    assert (answer.dropped_batches, is_whole(answer)) == (2, False)
    summary = report(answer, "web")
    assert summary.startswith("perhaps not every fault of web was recorded: 14 of 14 faults in 2 s")
    assert "  2 batches were dropped meanwhile" in summary


def test_it_is_said_how_long_less_was_recorded_and_why(tmp_path: Path) -> None:
    desk = Desk(tmp_path, budget=0.02)
    desk.ask("web", 60)
    for second in range(1, 10):
        desk.events(second, share=0.05)
    answer = desk.answer(A_REQUEST)
    assert (answer.level, answer.reason) == (SAMPLE, "5% of a core used, 2% granted")
    # The reading that begins the time is not in it.
    assert answer.level_ns == (0, 3 * SECOND, 4 * SECOND)


def test_why_less_was_recorded_stays_with_what_was_asked_for_and_with_no_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path, budget=0.02)
    desk.ask("web", 60)
    for second in range(1, 7):
        desk.events(second, share=0.05)
    for second in range(7, 40):
        desk.events(second)
    answer = desk.answer(A_REQUEST)
    assert (answer.level, answer.reason) == (ALL, "5% of a core used, 2% granted")
    desk.ask("4343", 60)
    desk.events(40)
    assert desk.answer(RecordRequest("4343", 60 * SECOND)).reason == ""


def test_what_the_host_missed_is_said_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 60)
    for second, missed in ((1, 100), (2, 100), (3, 4), (4, 5)):
        desk.events(second, content=_faults(1, 1, missed=missed))
    assert desk.answer(A_REQUEST).missed == 9


def test_the_last_answer_stays_a_while_and_goes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("web", 5)
    over = RecordRequest("web", 5 * SECOND)
    for second in range(1, 30):
        desk.events(second)
    assert desk.answer(over).is_over
    for second in range(30, 60):
        desk.events(second)
    assert desk.requests.answer_to(over) is None
