# SPDX-License-Identifier: Apache-2.0
"""KVM's own counts of a guest, beside ours and beside what the guest did.

``pf_taken`` is every fault: equal to ours with shadow paging, PVM and SVM, but for accesses to cached MMIO,
which take another way. ``pf_fixed`` is every fault that was mapped. What is mapped already is not in it.
"""

import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.probe import syscall
from collector.rights import Capability
from demo import memory
from demo.guest import Guest
from demo.layout import Layout
from demo.machine import Op
from demo.memory import HUGE_PAGE, PAGE
from faultmodel.kinds import CheckState
from faultmodel.record_looks import KvmCount, VmPages
from tests.kernel.guests import start_guest, truth_of
from tests.kernel.looked import Looked, looked
from tests.product import TOP

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="KVM counts faults on x86 alone"),
]


def _sums(rows: list[KvmCount]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        for name in row.__struct_fields__[2:]:
            found[name] += getattr(row, name)
    return found


@contextmanager
def _waiting(probes: Looked, **options: object) -> Iterator[tuple[int, int]]:
    """Run a guest in a process of its own; yield its pid, and how often it faulted, while its VM lives."""
    guest = start_guest(hold=True, **options)
    try:
        assert guest.stdout is not None
        truth = truth_of(guest.stdout.readline())
        yield truth.pid, truth.faults
    finally:
        guest.communicate(timeout=60)


def test_of_a_vm_that_began_meanwhile_every_fault_is_in_both(headers_cache: Path) -> None:
    with (
        looked(headers_cache) as probes,
        _waiting(probes, write=3000, read=500, execute=200, vcpus=2) as (pid, faults),
    ):
        found = _sums(list(probes.rows([pid])["kvm_counts"]))
        assert (found["pf_taken"], found["seen"]) == (faults, faults)
        assert found["pf_fixed"] == faults
        assert not probes.rows([pid])["kvm_counts"], "nothing was added"


def test_differences_are_those_since_the_look_before(headers_cache: Path) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(600))
    with looked(headers_cache) as probes, Guest(layout) as guest:
        guest.warm_up()
        guest.touch(region.touch(Op.WRITE, 100))
        probes.rows()
        for pages in (1, 100, 0, 399):
            guest.discard(region)
            guest.touch(region.touch(Op.WRITE, pages, first=100))
            found = _sums(list(probes.rows()["kvm_counts"]))
            assert (found["pf_taken"], found["seen"], found["splits"]) == (pages, pages, 0)


def test_of_a_vm_that_was_there_before_nothing_is_told_that_was_not_seen(headers_cache: Path) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(300))
    with Guest(layout) as guest:
        guest.warm_up()
        guest.touch(region.touch(Op.WRITE, 200))
        with looked(headers_cache) as probes:
            guest.touch(region.touch(Op.WRITE, 10, first=200))
            assert not probes.rows()["kvm_counts"]
            guest.touch(region.touch(Op.WRITE, 50, first=210))
            found = _sums(list(probes.rows()["kvm_counts"]))
    assert (found["pf_taken"], found["seen"]) == (50, 50)


def test_pages_are_those_that_the_guest_has_and_could_have(headers_cache: Path) -> None:
    layout = Layout()
    small = layout.add(memory.anonymous(100))
    large = layout.add(memory.anonymous(4 * HUGE_PAGE // PAGE, huge=True), small=False)
    with looked(headers_cache) as probes, Guest(layout) as guest:
        system_pages = guest.warm_up().read + 1
        before = _last(list(probes.rows()["vm_pages"]))
        guest.touch(small.touch(Op.WRITE))
        guest.touch(large.touch(Op.WRITE, 2, stride=HUGE_PAGE))
        after = _last(list(probes.rows()["vm_pages"]))
        assert not probes.rows()["vm_pages"], "nothing changed"
    assert after.pages_4k - before.pages_4k == small.pages
    assert (before.pages_2m, after.pages_2m) == (0, 2)
    assert (after.could_4k, after.could_2m, after.could_1g) == (small.pages + system_pages, 4, 0)


def test_two_capabilities_are_enough(headers_cache: Path) -> None:
    kept = ", ".join(f"Capability.{kind.name}" for kind in (Capability.BPF, Capability.PERFMON))
    look = f"""
import json, sys
from pathlib import Path
from collector import rights
from collector.rights import Capability
rights.keep_only([{kept}])
from tests.kernel.looked import looked
with looked(Path(sys.argv[1])) as probes:
    print(json.dumps(rights.held()), flush=True)
    pid = int(input())
    found = probes.rows([pid])
    sums = [sum(getattr(row, name) for row in found["kvm_counts"]) for name in ("pf_taken", "seen")]
    memslots = [(row.slot, row.backing, row.permissions) for row in found["memslots"]]
    print(json.dumps([sums, memslots, len(found["vm_pages"]), [one.state for one in probes.watchers.checks]]))
"""
    command = [sys.executable, "-c", look, str(headers_cache)]
    with subprocess.Popen(
        command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert set(json.loads(child.stdout.readline())) == {"BPF", "PERFMON"}
        guest = start_guest(hold=True, write=700)
        assert guest.stdout is not None
        truth = truth_of(guest.stdout.readline())
        child.stdin.write(f"{truth.pid}\n")
        child.stdin.flush()
        counts, memslots, pages, states = json.loads(child.stdout.readline())
        guest.communicate(timeout=60)
    assert counts == [truth.faults, truth.faults]
    assert {backing for _, backing, _ in memslots} == {"anonymous", "memfd"}
    assert "---p" in {permissions for *_, permissions in memslots}, "what the guest's VMM forbids"
    assert (pages, set(states)) == (1, {"ok"})


def test_a_kernel_that_refuses_to_look_costs_nothing_but_the_looks(
    headers_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(50))

    def refused(program: int, arguments: bytes) -> int:
        raise PermissionError(1, "Operation not permitted")

    with looked(headers_cache) as probes, Guest(layout) as guest:
        guest.warm_up()
        with monkeypatch.context() as patched:
            patched.setattr(syscall, "run", refused)
            guest.touch(region.touch(Op.WRITE))
            assert not any(probes.rows().values())
            states = {check.name: (check.state, check.found) for check in probes.watchers.checks}
        answer = (CheckState.LACKING, "KVM's state cannot be looked at: Operation not permitted")
        # No exit failed whose cause there is to look for, and nothing slept.
        others = dict.fromkeys(("causes", "stacks", "livelocks"), (CheckState.OK, ""))
        handlers = CheckState.LACKING, f"whether userfaultfd handlers live is not known: {answer[1]}"
        of_looks = {"memslots": answer, "kvm_counts": answer, "outstanding": handlers}
        assert {**others, **states} == {**others, **of_looks}
        assert len(probes.rows()["memslots"]) == 2, "as soon as it answers again"
        assert {check.state for check in probes.watchers.checks} == {CheckState.OK}


def _last(rows: list[VmPages]) -> VmPages:
    assert len(rows) == 1
    return rows[0]
