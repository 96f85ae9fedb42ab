# SPDX-License-Identifier: Apache-2.0
"""Sheds the hooks that cost a host most, first of all: those that fire whether or not guests fault.

The scheduler's fires at each switch of the host, up to 500,000 a second; that on guest entry at each entry,
up to 1,000,000. Each is judged by itself, on readings in which the programs' run times are measured: above
its share of one core in two of them in a row it is shed. It is then detached, so that it costs nothing.
Without the first, sleeps of vCPUs are not measured: what they waited for, pressure, how much of a stall they
were asleep. Without the second, ends of stalls are not (stall.bpf.h). Counts are not concerned. While a hook
is shed nobody knows what it would cost, so it is attached again after a time; that doubles with each time
that this did not last. Whoever asks for every fault of a VM wants to know these things, too: what is shed
when that begins is attached again at once, for all VMs, since it costs most to be called at all. It is then
judged as ever.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.sampling.outcome import PPM
from faultmodel.kinds import CheckState, EventKind, EventReason
from faultmodel.record import Check, EventFacts, HostEvent

logger = logging.getLogger(__name__)

HOOKS: Mapping[str, str] = {"sched_switch": "sched:sched_switch", "kvm_entry": "kvm:kvm_entry"}
"""By program, its tracepoint."""
_JUDGED_READINGS = 2
_LASTING_READINGS = 5
"""Measured ones within the budget, after which a hook that was restored is one like any other."""
_FIRST_PATIENCE_NS = 10_000_000_000
"""Long enough for a run of the program, begun before it was detached, to be over."""
_LONGEST_PATIENCE_NS = 600_000_000_000
_CHECK = "hooks"
_NOT_MEASURED = (
    "run times of programs cannot be measured, which takes CAP_SYS_ADMIN; so the hooks on the scheduler"
    " and on guest entry are never shed"
)


@dataclass(frozen=True, slots=True)
class HookStep:
    """A hook is to be shed, or to be restored. ``used``: its share of one core; None where it is restored.

    ``is_asked_for``: restored since somebody asks for a VM's faults.
    """

    is_shed: bool
    used: float | None
    granted: float
    is_asked_for: bool = False


class HookGovernor:
    """Judges one hook, reading after reading. For one thread."""

    def __init__(self, budget: float) -> None:
        """:param budget: run time per time, 0.01 for 1 % of one core; 0 for no bound"""
        self.budget = budget
        self._over = 0
        self._within = 0
        self._shed_ns = 0
        self._patience_ns = _FIRST_PATIENCE_NS
        self._is_restored = False
        self._was_asked = False
        self._is_wanted = False
        """Since somebody began to ask while it was shed."""

    def judge(
        self, share: float | None, passed_ns: int, *, is_shed: bool, is_asked: bool = False
    ) -> HookStep | None:
        """Judge a reading; return a step if one is due.

        :param share: of one core that the hook's program took; None where that was not measured
        :param passed_ns: the reading's length
        :param is_shed: whether the hook was shed in it
        :param is_asked: whether somebody asks for a VM's faults
        """
        self._is_wanted = is_shed and is_asked and (self._is_wanted or not self._was_asked)
        self._was_asked = is_asked
        if is_shed:
            return self._wait(passed_ns)
        self._shed_ns = 0
        if share is None or not self.budget:
            return None
        if share > self.budget:
            self._over, self._within = self._over + 1, 0
            return self._shed(share) if self._over == _JUDGED_READINGS else None
        self._over, self._within = 0, self._within + 1
        if self._within == _LASTING_READINGS:
            self._patience_ns, self._is_restored = _FIRST_PATIENCE_NS, False
        return None

    def _shed(self, share: float) -> HookStep:
        if self._is_restored:
            self._patience_ns = min(2 * self._patience_ns, _LONGEST_PATIENCE_NS)
            self._is_restored = False
        self._over = 0
        return HookStep(is_shed=True, used=share, granted=self.budget)

    def _wait(self, passed_ns: int) -> HookStep | None:
        self._over = self._within = 0
        self._shed_ns += max(0, passed_ns)
        if self._shed_ns < (_FIRST_PATIENCE_NS if self._is_wanted else self._patience_ns):
            return None
        self._shed_ns, self._is_restored = 0, True
        return HookStep(is_shed=False, used=None, granted=self.budget, is_asked_for=self._is_wanted)


class HookGovernors:
    """One for each hook, which outlive the countings that they judge. For one thread."""

    def __init__(self, budget: float) -> None:
        """:param budget: of each hook, as of ``HookGovernor``"""
        self.budget = budget
        self._by_hook: defaultdict[str, HookGovernor] = defaultdict(lambda: HookGovernor(budget))

    def of(self, hook: str) -> HookGovernor:
        """Return the one of a hook."""
        return self._by_hook[hook]


class Probes(Protocol):
    """What is needed of ``collector.probe.probes.Probes``."""

    @property
    def shed(self) -> frozenset[str]:
        """The programs that are detached."""

    def shed_one(self, name: str) -> None:
        """Detach a program."""

    def restore(self, name: str) -> None:
        """Attach a program that was shed seconds ago."""


class HookPolicy:
    """Sheds and restores the hooks of one counting. For one thread.

    What is to be shed is said before it is: should this process be killed in between, its successor says
    that nothing is. What was restored is said afterwards.
    """

    def __init__(self, probes: Probes, governors: HookGovernors) -> None:
        self._probes = probes
        self._governors = governors
        self._due: list[str] = []
        self._may_measure = True

    def found(self) -> Sequence[HostEvent]:
        """Return events of what a predecessor left shed."""
        return [_event(EventKind.SHED, hook) for hook in HOOKS if hook in self._probes.shed]

    @property
    def checks(self) -> tuple[Check, ...]:
        """That nothing can be shed, as far as that is known."""
        if self._may_measure or not self._governors.budget:
            return ()
        return (Check(name=_CHECK, state=CheckState.LACKING, found=_NOT_MEASURED),)

    def adjust(
        self, run_ns: Mapping[str, int] | None, passed_ns: int, *, may_measure: bool, is_asked: bool = False
    ) -> Sequence[HostEvent]:
        """Do what was said before, and judge the last reading. Call it when that reading was sent.

        :param run_ns: how long each program ran in it; None where that was not measured
        :param may_measure: whether that is ever measured
        :param is_asked: whether somebody asks for a VM's faults, and gets some
        :return: events for the next reading
        """
        self._may_measure = may_measure
        due, self._due = self._due, []
        events = [event for hook in due for event in self._shed(hook)]
        for hook in HOOKS.keys() - due:
            is_measured = run_ns is not None and hook in run_ns and passed_ns > 0
            share = run_ns[hook] / passed_ns if run_ns is not None and is_measured else None
            step = self._governors.of(hook).judge(
                share, passed_ns, is_shed=hook in self._probes.shed, is_asked=is_asked
            )
            if step is not None and step.is_shed:
                self._due.append(hook)
                events.append(_event(EventKind.SHED, hook, step))
            elif step is not None:
                events += self._restore(hook, step)
        return events

    def _shed(self, hook: str) -> Sequence[HostEvent]:
        try:
            self._probes.shed_one(hook)
        except OSError as exc:
            logger.warning("hook not shed hook=%s error=%r", hook, exc.strerror)
            return [_event(EventKind.RESTORED, hook)]
        logger.info("hook shed hook=%s", hook)
        return []

    def _restore(self, hook: str, step: HookStep) -> Sequence[HostEvent]:
        try:
            self._probes.restore(hook)
        except OSError as exc:
            logger.warning("hook not restored hook=%s error=%r", hook, exc.strerror)
            return []
        logger.info("hook restored hook=%s", hook)
        return [_event(EventKind.RESTORED, hook, step)]


def _event(kind: EventKind, hook: str, step: HookStep | None = None) -> HostEvent:
    facts = EventFacts(
        hook=HOOKS[hook],
        used_ppm=None if step is None or step.used is None else round(step.used * PPM),
        granted_ppm=None if step is None or not step.granted else round(step.granted * PPM),
    )
    reason = EventReason.ASKED_FOR if step is not None and step.is_asked_for else None
    return HostEvent(time_ns=0, kind=kind, reason=reason, facts=facts)
