# SPDX-License-Identifier: Apache-2.0
"""A run of a program by the kernel's account and by the product's, in the same terms."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from faultmodel.context import OUTCOMES

_MEMORY_FAULT = 39  # KVM_EXIT_MEMORY_FAULT
_FAILURES = (14, 133)  # EFAULT and EHWPOISON: those that a program writes


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed KVM_RUN; ``gpa``, ``size`` and ``flags`` are None where the exit is not annotated."""

    vcpu: int
    reason: int
    errno: int
    gpa: int | None
    size: int | None
    flags: int | None


@dataclass(slots=True)
class Counted:
    """What was counted in a run, over all of its VMs. Each is a Counter, so that differences can be shown.

    ``words`` are faults by syndrome, ``vcpus`` by the number of their vCPU (empty where the kernel does not
    show it), ``exits`` are by reason and errno, ``outcomes`` are faults by how they ended. The kernel has
    mappings ahead of the guest among those, which the product has apart: ``prefetched``. Of the
    failures ``unrecorded`` were counted but not recorded one by one; the host reports these as lost.
    ``unwritten`` are those that a program which was killed had no time to write.
    """

    words: Counter[int] = field(default_factory=Counter)
    vcpus: Counter[int] = field(default_factory=Counter)
    exits: Counter[tuple[int, int]] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[Failure] = field(default_factory=Counter)
    prefetched: int = 0
    unrecorded: int = 0
    unwritten: int = 0

    @property
    def faults(self) -> int:
        """All of them."""
        return self.words.total()


def by_kernel(witnessed: dict[str, Any]) -> Counted:
    """Return the kernel's account, as ``witness`` prints it; failures are the program's own account."""
    counted = Counted()
    for keys, count in witnessed["counts"].get("kvm_page_fault", []):
        counted.words[keys["error_code"]] += count
        counted.vcpus[keys["vcpu_id"]] += count
    for keys, count in witnessed["counts"].get("kvm_guest_fault", []):
        counted.words[keys["hsr"]] += count
    for keys, count in witnessed["counts"]["kvm_userspace_exit"]:
        counted.exits[keys["reason"], _errno(keys["errno"])] += count
    levels = {1: "mapped_4k", 2: "mapped_2m", 3: "mapped_1g"}
    for keys, count in witnessed["counts"].get("mapped", []):
        counted.outcomes[levels[keys["level"]]] += count
    results = {number: name for name, number in witnessed["results"].items()}
    for keys, count in witnessed["counts"].get("fast_page_fault", []):
        if keys["ret"] in results:
            counted.outcomes[results[keys["ret"]]] += count
    for name in ("mapped_no_slot", "handle_mmio_page_fault"):
        for _keys, count in witnessed["counts"].get(name, []):
            counted.outcomes["mmio"] += count
    for line in witnessed["failures"]:
        vcpu, reason, errno, *annotation = line.split()
        shown = [int(number, 16) for number in annotation]
        counted.failures[_failure(int(vcpu), int(reason), int(errno), shown)] += 1
    if witnessed["status"] is None:
        counted.unwritten = _unwritten(counted)
    return counted


def _unwritten(counted: Counted) -> int:
    """How many failures the kernel has beyond the program: at most the last one of each of its vCPUs."""
    failed = sum(count for (_, errno), count in counted.exits.items() if errno in _FAILURES)
    vcpus = {failure.vcpu for failure in counted.failures} | {*counted.vcpus}
    return max(0, min(failed - counted.failures.total(), len(vcpus)))


class Shown:
    """Adds up what the product shows of a run's VMs."""

    def __init__(self) -> None:
        self.counted = Counted()
        self.balanced = True
        self.vms = 0

    def add(
        self,
        vm: dict[str, Any],
        syndromes: list[dict[str, Any]],
        outcomes: list[dict[str, Any]],
        exits: list[dict[str, Any]],
        ledger: dict[str, Any],
    ) -> None:
        """Add a VM: its page, and the items of what lies under it.

        :param exits: the single ones, of both kinds
        """
        self.vms += 1
        self.balanced = self.balanced and ledger["balanced"]
        for item in syndromes:
            self.counted.words[int(item["word"], 16)] += item["count"]
        for vcpu in vm["vcpus"]:
            self.counted.vcpus[vcpu["vcpu"]] += vcpu["faults"]
        for item in vm["exit_reasons"]:
            self.counted.exits[item["reason"], item["errno"] or 0] += item["count"]
        for item in outcomes:
            if item["flag"] in OUTCOMES:
                self.counted.outcomes[item["flag"]] += item["count"]
            elif item["flag"] == "prefetched":
                self.counted.prefetched += item["count"]
        for item in exits:
            annotation = [item["gpa"], item["size"], item["flags_raw"]]
            shown = [int(str(value), 0) if value is not None else 0 for value in annotation]
            self.counted.failures[_failure(item["vcpu"], item["reason"], item["errno"], shown)] += 1


def differences(kernel: Counted, shown: Counted) -> list[str]:
    """Return, a line each, what the product has otherwise than the kernel; none where all is equal."""
    found = []
    for name in ("words", "vcpus", "exits", "outcomes", "failures"):
        wanted: Counter[Any] = getattr(kernel, name)
        there: Counter[Any] = getattr(shown, name)
        if name == "vcpus" and not wanted:
            continue
        keys = [key for key in wanted | there if wanted[key] != there[key]]
        kept_apart = {"outcomes": shown.prefetched, "failures": shown.unrecorded}.get(name, 0)
        beyond = (there - wanted).total()
        unwritten = kernel.unwritten if name == "failures" else 0
        if beyond <= unwritten and (wanted - there).total() + unwritten - beyond == kept_apart:
            continue
        if keys or unwritten:
            some = "; ".join(f"{_text(key)}: {wanted[key]} and {there[key]}" for key in keys[:12])
            found.append(
                f"{name}: the kernel has {wanted.total()}, kvmfaults {there.total()},"
                f" {len(keys)} of {len(wanted | there)} differ: {some}"
            )
    return found


def _failure(vcpu: int, reason: int, errno: int, annotation: list[int]) -> Failure:
    if reason != _MEMORY_FAULT:
        return Failure(vcpu, reason, errno, None, None, None)
    gpa, size, flags = annotation
    return Failure(vcpu, reason, errno, gpa, size, flags)


def _errno(number: int) -> int:
    """The histogram has it negative, or as it lies in 32 or 64 bits."""
    return -((number & 0xFFFFFFFF) - (1 << 32)) if number else 0


def _text(key: object) -> str:
    return hex(key) if isinstance(key, int) and key > 0xFFFF else str(key)
