# SPDX-License-Identifier: Apache-2.0
"""Every question of the API over a range, and those that the overview and a VM's page ask."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.viewing.questions import page_step_s

RANGES_S: Mapping[str, int] = {"15 min": 900, "24 h": 86_400, "7 d": 7 * 86_400, "30 d": 30 * 86_400}


@dataclass(frozen=True, slots=True)
class Question:
    """A path below ``/api/v1`` and its parameters, the range aside."""

    name: str
    path: str
    parameters: Mapping[str, object]
    has_steps: bool = False

    def asked(self, from_ms: int, to_ms: int) -> Mapping[str, object]:
        """Return all parameters for a range, UTC ms; its steps are those that the page would choose."""
        span = {"from": from_ms, "to": to_ms}
        if not self.has_steps:
            return {**span, **self.parameters}
        step_s = page_step_s((to_ms - from_ms) // 1000)
        return {**span, "step": f"{step_s}s", "coarser": "true", **self.parameters}


def questions(vm: str, guest: str, host: str) -> list[Question]:
    """Return them, of one VM, guest and host where they are about one."""
    at_once = {"sort": "-rate_at_end", "limit": 50, "trend": 60}
    listed = {"sort": "-rate_at_end", "totals": "true", "commands": "false", "limit": 50}
    of_vm = f"vms/{vm}"
    return [
        Question("overview", "overview", {**at_once, "by": "vm", "most": 7}, has_steps=True),
        Question("overview: ledger of hosts", "ledger", {"vms": "false"}, has_steps=True),
        Question("overview: events of hosts", "host-events", {}),
        Question("VMs, with the most faults a second first", "vms", {**listed, "trend": 60}, has_steps=True),
        Question("rates of all by VM", "rates", {"by": "vm", "most": 7}, has_steps=True),
        Question("VMs, newest first", "vms", {}),
        Question("VMs, found by name", "vms", {"name": "vm-00*", "sort": "-faults"}),
        Question("VMs of a host", "vms", {"host": host, "sort": "-faults", "totals": "true"}),
        Question("guests", "guests", {"sort": "-faults"}),
        Question("rates of all by guest", "rates", {"by": "guest", "most": 7}, has_steps=True),
        Question("rates of all by flag", "rates", {"by": "flag"}, has_steps=True),
        Question("rates of all by level", "rates", {"by": "level"}, has_steps=True),
        Question("rates of all by architecture", "rates", {"by": "arch"}, has_steps=True),
        Question(
            "rates of all memory-fault exits",
            "rates",
            {"metric": "memory_fault_exits", "most": 7},
            has_steps=True,
        ),
        Question("exits of all", "exits", {}),
        Question("ledger of all VMs", "ledger", {"most": 50}, has_steps=True),
        Question("costs of all hosts", "costs", {}, has_steps=True),
        Question("stalls of all VMs", "stall", {}),
        Question("outcomes of all VMs", "outcomes", {}),
        Question("waits of all VMs", "waits", {}),
        Question("pressure of all VMs", "pressure", {}),
        Question("VM page: VM", of_vm, {}),
        Question("VM page: flags", f"{of_vm}/flags", {}),
        Question("VM page: syndromes", f"{of_vm}/syndromes", {}),
        Question("VM page: rates", "rates", {"vm": vm}, has_steps=True),
        Question("VM page: rates by flag", "rates", {"vm": vm, "by": "flag"}, has_steps=True),
        Question("VM page: rates by access", "rates", {"vm": vm, "by": "access"}, has_steps=True),
        Question("VM page: rates by vCPU", "rates", {"vm": vm, "by": "vcpu"}, has_steps=True),
        Question("VM page: rates by level", "rates", {"vm": vm, "by": "level"}, has_steps=True),
        Question("VM page: exits", "exits", {"vm": vm}),
        Question("VM page: recorded faults", f"{of_vm}/faults", {}),
        Question("VM page: ledger", "ledger", {"vm": vm}, has_steps=True),
        Question("VM page: stalls", "stall", {"vm": vm}),
        Question("VM page: stalls over time", "stall/heat", {"vm": vm}, has_steps=True),
        Question("VM page: outcomes", "outcomes", {"vm": vm}),
        Question("VM page: waits", "waits", {"vm": vm}),
        Question("VM page: waits over time", "waits/series", {"vm": vm}, has_steps=True),
        Question("VM page: pressure", "pressure", {"vm": vm}),
        Question("VM page: pressure over time", "pressure/series", {"vm": vm}, has_steps=True),
        Question("guest page: guest", f"guests/{guest}", {}, has_steps=True),
        Question("guest page: flags", f"guests/{guest}/flags", {}),
        Question("status", "status", {}),
        Question("storage", "storage", {}),
    ]


WITHOUT_A_RANGE = frozenset(("status", "storage"))
