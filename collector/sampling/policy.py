# SPDX-License-Identifier: Apache-2.0
"""The sampling policy: which guest faults are recorded. Operators and requests want, the governor allows."""

import difflib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from collector.probe.layout import RecordLevel, VmKey
from collector.sampling.governor import Governor, Step
from collector.sampling.outcome import LEVELS, PPM, RequestOutcome, meant
from collector.sampling.requests import NS_PER_S, Answer, RecordRequest, RecordRequests
from collector.sampling.server_requests import ServerRequest, ServerRequests
from faultmodel.kinds import EventKind, EventReason, RecordEnd, RecordingLevel
from faultmodel.record import Cost, EventFacts, HostEvent, Vm, VmId
from faultmodel.record_answers import RecordAnswer
from faultmodel.sections import Content

Request = RecordRequest | ServerRequest
_ANSWERED_NS = 30 * NS_PER_S
"""How long the last answer to a request can be read."""
_MOST_COMPARED = 1000
_MOST_NEAR = 5
_USUAL_READINGS = 60
"""Without any request, by which it is judged what the collector uses as usual."""


class Probes(Protocol):
    """What is needed of ``collector.probe.probes.Probes``."""

    def record(self, level: RecordLevel, spacing_ns: int, of_vms: Mapping[VmKey, RecordLevel]) -> None:
        """Say which guest faults are to be recorded."""


class Adjusted(NamedTuple):
    """What changed, and what became of the server's requests so far."""

    events: tuple[HostEvent, ...]
    answers: tuple[RecordAnswer, ...]


class SamplingPolicy:
    """Sets what the programs record, whenever that changes. For one thread."""

    def __init__(
        self,
        probes: Probes,
        wanted: RecordLevel,
        per_second: int,
        governor: Governor,
        requests: RecordRequests,
        of_server: ServerRequests,
    ) -> None:
        """Make a policy of the requests in a file and of those of the server."""
        self._probes = probes
        self._wanted = wanted
        self._per_second = per_second
        self._governor = governor
        self._requests = requests
        self._of_server = of_server
        self._part = of_server.next_part()
        self._applied: tuple[RecordLevel, Mapping[VmKey, RecordLevel]] | None = None
        self._asked: dict[VmKey, VmId] = {}
        self._near: dict[RecordRequest, tuple[str, ...]] = {}
        self._outcomes: dict[Request, RequestOutcome] = {}
        self._usual: deque[tuple[int, int]] = deque(maxlen=_USUAL_READINGS)
        """CPU time and length of the last readings before which nobody requested anything."""
        self._level = RecordLevel.NONE
        """The level at which the requested VMs were recorded in the last span."""

    @property
    def is_asked(self) -> bool:
        """Whether somebody asks for the faults of VMs that are there, and gets some."""
        return bool(self._asked) and self._level > RecordLevel.NONE

    def adjust(
        self,
        vms: Mapping[VmKey, Vm],
        content: Content,
        cost: Cost,
        now_ns: int,
        dropped_batches: int,
    ) -> Adjusted:
        """Let the governor judge the last reading, and apply the policy.

        :param vms: the VMs that the probes know
        :param content: of the reading; ``cost`` has its span
        :param dropped_batches: how many batches the spool has dropped so far
        :raises ProbeError: the kernel refuses
        """
        active: list[Request] = [*self._requests.active(now_ns), *self._of_server.active()]
        self._add_reading(active, vms, content, cost, dropped_batches)
        events = self._apply(active, vms, cost, now_ns)
        # Only now, so that an answer is true when it is written.
        self._begin(active, vms)
        self._requests.answer(self._answers(active, vms))
        return Adjusted(events, self._answers_to_server(active, cost.to_ns))

    def _add_reading(
        self,
        active: Sequence[Request],
        vms: Mapping[VmKey, Vm],
        content: Content,
        cost: Cost,
        dropped_batches: int,
    ) -> None:
        """Add the reading to the requests made before it, and forget requests that ended long ago."""
        for request, outcome in list(self._outcomes.items()):
            if outcome.over_ns is None:
                found = meant(request, vms.values())
                outcome.add(found, content, cost, self._level, dropped_batches)
                outcome.end = self._end_of(request, active, is_there=bool(found))
                if outcome.end is not None:
                    outcome.over_ns = cost.to_ns
            elif cost.to_ns - outcome.over_ns > _ANSWERED_NS:
                del self._outcomes[request]
        if not active and not self._asked:
            self._usual.append((cost.cpu_ns, cost.to_ns - cost.from_ns))

    def _end_of(self, request: Request, active: Sequence[Request], *, is_there: bool) -> RecordEnd | None:
        """Return why a request that had VMs is over, if it is."""
        if isinstance(request, ServerRequest):
            if self._of_server.is_withdrawn(request):
                return RecordEnd.WITHDRAWN
            if not is_there:
                # It names one VM, whose id no other gets.
                self._of_server.end(request)
                return RecordEnd.VM_ENDED
        return None if request in active else RecordEnd.TIME

    def _apply(
        self, active: Sequence[Request], vms: Mapping[VmKey, Vm], cost: Cost, now_ns: int
    ) -> tuple[HostEvent, ...]:
        # Nearly always nothing is active, and there may be hundreds of VMs.
        asked = (
            {key: vm.id for key, vm in vms.items() if any(item.means(vm) for item in active)}
            if active
            else {}
        )
        wanted = RecordLevel.ALL if asked else self._wanted
        step = self._governor.judge(cost.cpu_ns, cost.to_ns - cost.from_ns, wanted)
        most = self._governor.most
        levels = (min(self._wanted, most), dict.fromkeys(asked, min(RecordLevel.ALL, most)))
        if levels == self._applied:
            return ()
        self._probes.record(levels[0], NS_PER_S // self._per_second, levels[1])
        events = self._events(levels, asked, step, now_ns)
        self._applied, self._asked = levels, asked
        return events

    def _begin(self, active: Sequence[Request], vms: Mapping[VmKey, Vm]) -> None:
        """Begin to add up for requests whose VMs are there, and note what is recorded from now on."""
        self._level = self._governor.most
        for request in active:
            if request not in self._outcomes and (found := meant(request, vms.values())):
                self._outcomes[request] = RequestOutcome(self._usual_share())
                self._outcomes[request].include(found)
        for outcome in self._outcomes.values():
            outcome.note(self._governor.held_back)

    def _usual_share(self) -> float | None:
        passed_ns = sum(passed for _, passed in self._usual)
        return sum(cpu for cpu, _ in self._usual) / passed_ns if passed_ns > 0 else None

    def _answers(self, active: Sequence[Request], vms: Mapping[VmKey, Vm]) -> tuple[Answer, ...]:
        in_file = [request for request in active if isinstance(request, RecordRequest)]
        self._near = {request: near for request, near in self._near.items() if request in in_file}
        answers = tuple(
            outcome.answer(request, self._level)
            for request, outcome in self._outcomes.items()
            if isinstance(request, RecordRequest)
        )
        unknown = [request for request in in_file if request not in self._outcomes]
        return answers + tuple(Answer(request, near=self._names_near(request, vms)) for request in unknown)

    def _answers_to_server(self, active: Sequence[Request], now_ns: int) -> tuple[RecordAnswer, ...]:
        answers = [
            outcome.answer_to_server(request, self._level, now_ns, self._part)
            for request, outcome in self._outcomes.items()
            if isinstance(request, ServerRequest)
        ]
        answers += [
            RecordAnswer(
                time_ns=now_ns,
                request=request.id,
                part=self._part,
                is_found=False,
                level=RecordingLevel.NONE,
            )
            for request in active
            if isinstance(request, ServerRequest) and request not in self._outcomes
        ]
        return tuple(answers)

    def _names_near(self, request: RecordRequest, vms: Mapping[VmKey, Vm]) -> tuple[str, ...]:
        # Once for each request, since comparing many names takes long.
        if request not in self._near:
            self._near[request] = names_near(request.vm, [vm.name for vm in vms.values() if not vm.ended_ns])
        return self._near[request]

    def _events(
        self,
        levels: tuple[RecordLevel, Mapping[VmKey, RecordLevel]],
        asked: Mapping[VmKey, VmId],
        step: Step | None,
        now_ns: int,
    ) -> tuple[HostEvent, ...]:
        level, of_vms = levels
        before = self._applied[1] if self._applied else {}
        events = []
        if self._applied is None or level != self._applied[0]:
            events.append(HostEvent(time_ns=now_ns, kind=EventKind.RECORDS, level=LEVELS[level]))
        for key, of in of_vms.items():
            if before.get(key) != of:
                events.append(_vm_event(now_ns, asked[key], of, EventReason.ASKED_FOR))
        for key in before:
            if key not in of_vms:
                events.append(_vm_event(now_ns, self._asked[key], level, EventReason.NO_LONGER_ASKED_FOR))
        return tuple(self._explained(event, step) for event in events)

    def _explained(self, event: HostEvent, step: Step | None) -> HostEvent:
        """A step of the governor is why, also where a VM is concerned that was asked for."""
        is_sample = event.level is RecordingLevel.SAMPLE
        facts = EventFacts(
            per_second=self._per_second if is_sample else None,
            used_ppm=None if step is None else round(step.used * PPM),
            granted_ppm=None if step is None else round(step.granted * PPM),
        )
        reason = event.reason if step is None else EventReason.BUDGET
        return msgspec.structs.replace(event, reason=reason, facts=None if facts == EventFacts() else facts)


def _vm_event(now_ns: int, vm: VmId, level: RecordLevel, reason: EventReason) -> HostEvent:
    return HostEvent(time_ns=now_ns, kind=EventKind.VM_RECORDS, vm=vm, level=LEVELS[level], reason=reason)


def names_near(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return a few names similar to a name: first those that contain it, then those spelt like it."""
    wanted = name.lower()
    known = sorted({other for other in names if other})
    holding = [other for other in known if wanted in other.lower()]
    alike = difflib.get_close_matches(name, known[:_MOST_COMPARED], _MOST_NEAR, cutoff=0.6)
    return tuple(dict.fromkeys([*holding, *alike]))[:_MOST_NEAR]
