# SPDX-License-Identifier: Apache-2.0
"""A rule: what it watches, of whom, from when on it holds, and what is said then."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from backend.query.alerts.watches import WATCHED, Subject, Unit, Watch
from backend.query.choice import canonical_archs
from backend.query.globs import matching
from backend.store.contract.vms import VmMember
from faultmodel.exits import errno_name, reason_name

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
DEFAULT_OVER_S = 5 * MINUTE_S
OVER_S = (MINUTE_S, DEFAULT_OVER_S, 15 * MINUTE_S, HOUR_S)
"""The windows that there are: few, so that rules share what is read."""


class Severity(StrEnum):
    """How bad it is."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Comparison(StrEnum):
    """On which side of the threshold a rule holds."""

    ABOVE = "above"
    BELOW = "below"


class Past(StrEnum):
    """A VM's own past that its present is held against. It ends where the rule's window begins."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def length_s(self) -> int:
        """How long it is."""
        return {Past.HOUR: HOUR_S, Past.DAY: DAY_S, Past.WEEK: 7 * DAY_S}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Of which VMs or hosts; of each field that is given, one must match.

    ``hosts``, ``vms`` and ``archs`` may be globs (``globs``). ``vms``: names or ids; ``guests``: ids.
    """

    hosts: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()
    guests: tuple[str, ...] = ()
    archs: tuple[str, ...] = ()

    def of_hosts(self, names: Collection[str]) -> Collection[str]:
        """Return those of these hosts that are meant."""
        return set(matching(names, self.hosts)) if self.hosts else names

    def of_vms(self, vms: Sequence[VmMember]) -> Sequence[VmMember]:
        """Return those of these VMs that are meant."""
        found: Iterable[VmMember] = vms
        if self.hosts:
            hosts = self.of_hosts({vm.host for vm in vms})
            found = [vm for vm in found if vm.host in hosts]
        if self.vms:
            names = set(matching({text for vm in vms for text in (vm.name, vm.id)}, self.vms))
            found = [vm for vm in found if vm.name in names or vm.id in names]
        if self.archs:
            archs = set(canonical_archs(self.archs))
            found = [vm for vm in found if vm.arch in archs]
        if self.guests:
            found = [vm for vm in found if vm.guest in self.guests]
        return list(found) if found is not vms else vms

    def words(self, subject: Subject) -> str:
        """Say of whom, as a check of the rules shows it."""
        parts = [
            f"{name} {' or '.join(values)}"
            for name, values in (
                ("host", self.hosts),
                ("vm", self.vms),
                ("guest", self.guests),
                ("arch", self.archs),
            )
            if values
        ]
        every = "every VM" if subject is Subject.VM else "every host"
        return f"{every} with {' and '.join(parts)}" if parts else every


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule. ``threshold``: per second, in seconds, or a number, by what it watches.

    ``times``: the threshold is so many times the mean of the VM's own ``past``, and no less than
    ``threshold``. ``reason``, ``errno``: of exits, only these. ``is_default``: it ships with the server.
    """

    name: str
    watch: Watch
    comparison: Comparison
    threshold: float
    severity: Severity
    summary: str
    runbook: str
    times: float | None = None
    past: Past | None = None
    over_s: int = DEFAULT_OVER_S
    for_s: int = 0
    selector: Selector = field(default_factory=Selector)
    reason: int | None = None
    errno: int | None = None
    is_default: bool = False

    @property
    def subject(self) -> Subject:
        """What it judges one by one."""
        return WATCHED[self.watch].subject

    @property
    def unit(self) -> Unit:
        """What its value and its threshold are in."""
        return WATCHED[self.watch].unit

    def holds(self, value: float, threshold: float) -> bool:
        """Return whether a value is on its side of a threshold."""
        return value > threshold if self.comparison is Comparison.ABOVE else value < threshold

    def words(self) -> str:
        """Say in a line what it watches."""
        watched = WATCHED[self.watch]
        what = watched.words
        if self.reason is not None:
            what += f" of reason {reason_name(self.reason)}"
        if self.errno is not None:
            what += f" with errno {errno_name(self.errno)}"
        if watched.has_window:
            what += f" within {written_s(self.over_s)}"
        limit = written(self.threshold, self.unit)
        if self.times is not None:
            least = f", and {limit}" if self.threshold else ""
            limit = f"{self.times:g} times those of the {self.past} before{least}"
        lasting = f", for {written_s(self.for_s)}" if self.for_s else ""
        return f"of {self.selector.words(self.subject)}: {what} {self.comparison} {limit}{lasting}"


def written(value: float, unit: Unit) -> str:
    """Write a value with its unit."""
    digits = f"{value:.6g}" if value < 1 else f"{value:,.3f}".rstrip("0").rstrip(".")
    return digits + {Unit.PER_SECOND: "/s", Unit.SECONDS: " s", Unit.COUNT: ""}[unit]


def written_s(time_s: int) -> str:
    """Write a time as a rule has it."""
    for unit, length_s in (("d", DAY_S), ("h", HOUR_S), ("m", MINUTE_S)):
        if time_s and not time_s % length_s:
            return f"{time_s // length_s}{unit}"
    return f"{time_s}s"
