# SPDX-License-Identifier: Apache-2.0
"""Runs VMMs under perf and the product, and compares what the two have counted."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fuzz import oracle
from tests.fuzz.plan import End, Plan, make_plan
from tests.product import Product, wait_for

_SHOWN_S = 60.0
_ENDS_S = 300.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A VMM that has ended: what perf counted, and what each of its VMs printed (``vmm``)."""

    plan: Plan
    pid: int
    ended: float
    counted: oracle.Counted
    printed: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a VMM: ``wrong`` is empty where all is equal."""

    ran: Ran
    vms: int
    wrong: str


def fuzz(product: Product, seeds: list[int], folder: Path, *, at_a_time: int = 3) -> Iterator[list[Finding]]:
    """Run VMMs, a few at once, and yield what came of each few.

    :param product: running, and attached
    :param folder: for what perf writes
    """
    for first in range(0, len(seeds), at_a_time):
        yield _together(product, seeds[first : first + at_a_time], folder)


def _together(product: Product, seeds: list[int], folder: Path) -> list[Finding]:
    unattributed = _lost(product)
    with ThreadPoolExecutor(len(seeds)) as several:
        ran = list(several.map(lambda seed: _run(make_plan(seed), folder), seeds))
    wait_for(lambda: _covers(product, max(one.ended for one in ran)) or None, _SHOWN_S, "all is covered")
    vms = {one.pid: _vms(product, one.pid) for one in ran}
    # How many were not attributed is known of the host alone, so of all of them together.
    unattributed = _lost(product) - unattributed
    missing = sum(one.counted.faults + one.counted.exits - sum(map(_total, vms[one.pid])) for one in ran)
    findings = [Finding(one, len(vms[one.pid]), _wrong(one, vms[one.pid])) for one in ran]
    if missing != unattributed:
        together = f"{missing} faults and exits are missing, {unattributed} counted as unattributed"
        # A batch that the server does not take waits in the spool, and the host says so.
        together += _detail(product)
        findings.append(Finding(ran[0], 0, f"{together}: {', '.join(str(one.plan.seed) for one in ran)}"))
    return findings


def _run(plan: Plan, folder: Path) -> Ran:
    output = folder / f"perf-{plan.seed}"
    process = oracle.start("tests.fuzz.vmm", str(plan.seed), output=output)
    assert process.stdout is not None
    pid = int(json.loads(process.stdout.readline())["pid"])
    if plan.end is End.KILLED:
        time.sleep(plan.kill_after_s)
        # It is perf's child: its process id is not another's before perf has waited for it.
        subprocess.run(("kill", f"-{signal.SIGKILL:d}", str(pid)), check=True)
    lines_out, said = process.communicate(timeout=_ENDS_S)
    ended = time.time()
    assert process.returncode == 0 or plan.end is End.KILLED, f"seed {plan.seed}: {said.decode()}"
    # A process that is killed may leave half a line.
    lines = [line for line in lines_out.decode().splitlines() if line.endswith("}")]
    return Ran(plan, pid, ended, oracle.read(output), [json.loads(line) for line in lines])


def _wrong(ran: Ran, vms: list[dict[str, Any]]) -> str:
    # Where a descriptor is another's, the totals of all VMs and of what was not attributed are what is known.
    if not ran.plan.is_honest:
        return ""
    shown = (sum(vm["faults"] for vm in vms), sum(map(_exits, vms)))
    if shown != (ran.counted.faults, ran.counted.exits):
        return f"perf has {ran.counted.faults} faults and {ran.counted.exits} exits, kvmfaults {shown}"
    # While another VM of the process gives memory back KVM may take a fault twice, which no guest knows. And
    # those that were killed did more than they printed, in VMs that they did not print.
    printed, there = _by_vcpu(ran.printed), Counter(map(_vcpus, vms))
    hidden, extra = printed - there, there - printed
    if ran.counted.only_mapped and ran.plan.at_a_time == 1 and hidden:
        return f"not shown of what the guests printed: {dict(hidden)}, but {dict(extra)}"
    return ""


def _by_vcpu(printed: list[dict[str, Any]]) -> Counter[tuple[tuple[int, int], ...]]:
    """VMs by the faults of each of their vCPUs."""
    return Counter(
        tuple(sorted((int(vcpu), faults) for vcpu, faults in vm["faults"].items() if faults))
        for vm in printed
    )


def _vcpus(vm: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((vcpu["vcpu"], vcpu["faults"]) for vcpu in vm["vcpus"] if vcpu["faults"]))


def _covers(product: Product, moment: float) -> bool:
    (host,) = product.get("status")["hosts"]
    return datetime.fromisoformat(host["covered_to"]) > datetime.fromtimestamp(moment, UTC)


def _detail(product: Product) -> str:
    (host,) = product.get("status")["hosts"]
    return f" ({host['detail']})" if host["detail"] else ""


def _lost(product: Product) -> int:
    (host,) = product.get("status")["hosts"]
    return int(host["lost"].get("unattributed", 0))


def _vms(product: Product, pid: int) -> list[dict[str, Any]]:
    """The VMs of a VMM, each with its vCPUs and exits."""
    return [product.get(f"vms/{vm['id']}") for vm in product.get("vms", pid=pid, limit=500)["items"]]


def _exits(vm: dict[str, Any]) -> int:
    return sum(int(item["count"]) for item in vm["exit_reasons"])


def _total(vm: dict[str, Any]) -> int:
    return int(vm["faults"]) + _exits(vm)
