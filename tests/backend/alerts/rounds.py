# SPDX-License-Identifier: Apache-2.0
"""A server whose rules are judged round by round, by a clock that a test moves on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.jobs.alerts import AlertsJob
from backend.jobs.runner import Job, Outcome, Runner
from backend.store.contract.alerts import Alert, AlertState
from backend.store.contract.values import TimeRange
from faultmodel.record import Host, Span, Vm
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_NS, VM_ID, fault_count, make_batch, make_host, make_vm

EVERY_S = 15


def alerts_job(path: Path | None) -> Job:
    """Return the job as a server that was just started has it."""
    return Job(name="alerts", every_s=EVERY_S, within_s=60, work=AlertsJob(path))


@dataclass
class Rounds:
    """Time goes on by ``counted`` and ``silent``. ``at``: the second, counted from ``START_S``."""

    server: Server
    path: Path
    at: int = 0
    sequence: int = 0
    host: Host = field(default_factory=make_host)
    job: Job | None = None

    def rules(self, *texts: str) -> None:
        """Have these rules, without the default ones; of a server that was just started."""
        self.path.write_text("\n".join(["defaults = false", *texts]))
        self.job = alerts_job(self.path)

    def silent(self, seconds: int) -> None:
        """Let time go on, of which nothing is heard."""
        self.at += seconds
        self.server.clock.now_ns = START_NS + self.at * NS_PER_S

    def counted(
        self, seconds: int, *, vms: Sequence[str | Vm] = (VM_ID,), faults: int = 0, **batch: Any
    ) -> None:
        """Let time go on, and have the host deliver it: with so many faults of each VM in all."""
        began_ns = START_NS + self.at * NS_PER_S
        self.silent(seconds)
        described = [make_vm(vm) if isinstance(vm, str) else vm for vm in vms]
        counts = [fault_count(vm.id, second=self.at - 1, faults=faults) for vm in described if faults]
        given = {
            "host": self.host,
            "vms": described,
            "covered": (Span(began_ns, self.server.clock.now_ns),),
            "fault_counts": counts,
            **batch,
        }
        self.server.apply(make_batch(self.sequence, **given))
        self.sequence += 1

    def judge(self) -> Sequence[tuple[str, str]]:
        """Judge the rules, and return rule and state of each alert that is kept, the newest first."""
        assert self.job is not None
        runner = Runner(self.server.store, [], now_ns=self.server.clock)
        assert runner.run_if_due(self.job) is not Outcome.NOT_DUE
        return [(alert.key.rule, str(alert.state)) for alert in self.alerts()]

    def alerts(self) -> Sequence[Alert]:
        """Return every alert that is kept."""
        return self.server.store.alerts(TimeRange(), list(AlertState))

    def alert(self) -> Alert:
        """Return the only one."""
        (found,) = self.alerts()
        return found

    def failure(self) -> str:
        """Return why the last round failed, empty where it did not."""
        (found,) = self.server.store.jobs()
        return found.error
