# SPDX-License-Identifier: Apache-2.0
"""Memslots are shown as the VMM made them, with what it has mapped behind them."""

import ctypes
import mmap
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from collector.probe import looks
from collector.probe.compiler_process import Terms
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import VmKey
from collector.probe.plan import make_plan
from collector.probe.probes import Probes
from demo import memory
from demo.guest import Guest
from demo.kvm import KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY
from demo.layout import Layout, Region
from demo.machine import Op
from demo.memory import PAGE, HostMemory
from faultmodel.record_looks import Memslot
from tests.kernel.attached import attached, bytecode_of
from tests.kernel.looked import looked
from tests.kernel.userfaultfd import userfaultfd

pytestmark = pytest.mark.kernel

_HUGETLB, _NO_RESERVE = 0x40000, 0x4000


def _named(path: Path, pages: int) -> HostMemory:
    path.write_bytes(bytes(pages * PAGE))
    with path.open("r+b") as file:
        return HostMemory(mmap.mmap(file.fileno(), pages * PAGE, mmap.MAP_SHARED), 0, pages)


def _hugetlb() -> HostMemory:
    """Two huge pages, which are not there: the guest touches none of them."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _HUGETLB | _NO_RESERVE
    return HostMemory(mmap.mmap(-1, 2 * memory.HUGE_PAGE, flags), 0, 2 * memory.HUGE_PAGE // PAGE)


def _of(rows: list[Memslot], region: Region) -> Memslot:
    (row,) = (row for row in rows if row.slot == region.slot)
    return row


def _as_made(row: Memslot) -> tuple[int, int, int, int, int]:
    return row.address_space, row.gpa, row.size, row.flags, row.host_address


def test_every_kind_of_backing_is_told_from_the_others(headers_cache: Path, tmp_path: Path) -> None:
    layout = Layout()
    hidden = tmp_path / "ram with blanks"
    regions = {
        "anonymous": layout.add(memory.anonymous(16)),
        "memfd": layout.add(memory.file_backed(8)),
        "file": layout.add(_named(hidden, 4)),
        "hugetlb": layout.add(_hugetlb()),
        "read_only": layout.add(memory.anonymous(3), flags=KVM_MEM_READONLY),
        "late": layout.add(memory.anonymous(5)),
    }
    guest_memfd = layout.add_hole(2)
    with looked(headers_cache) as probes, Guest(layout) as guest:
        descriptor = guest.attach_guest_memfd(guest_memfd)
        guest.warm_up()
        with userfaultfd(regions["late"].require_memory()):
            rows = list(probes.rows()["memslots"])
        os.close(descriptor)
    found = {name: _of(rows, region) for name, region in regions.items()}
    assert len(rows) == len(regions) + 2, "with the guest's own pages"
    assert {name: _as_made(row) for name, row in found.items()} == {
        name: (0, region.gpa, region.size, region.flags, region.require_memory().address)
        for name, region in regions.items()
    }
    assert {name: row.backing for name, row in found.items()} == {
        "anonymous": "anonymous",
        "memfd": "memfd",
        "file": "file",
        "hugetlb": "hugetlb",
        "read_only": "anonymous",
        "late": "anonymous",
    }
    assert {name for name, row in found.items() if row.userfaultfd} == {"late"}
    assert (found["file"].file, found["file"].offset) == (str(hidden), 0)
    assert (found["memfd"].file, found["memfd"].permissions) == ("/memfd:demo-guest", "rw-s")
    assert (found["anonymous"].file, found["anonymous"].permissions) == ("", "rw-p")
    of_memfd = _of(rows, guest_memfd)
    assert (of_memfd.guest_memfd, of_memfd.gpa, of_memfd.size) == (True, guest_memfd.gpa, guest_memfd.size)


def test_a_change_is_shown_and_nothing_else(headers_cache: Path) -> None:
    layout = Layout()
    moved, deleted = (layout.add(memory.anonymous(4)) for _ in range(2))
    with looked(headers_cache) as probes, Guest(layout) as guest:
        guest.warm_up()
        first = list(probes.rows()["memslots"])
        assert [row.slot for row in sorted(first, key=lambda row: row.slot)] == [0, 1, 2]
        assert not probes.rows()["memslots"], "nothing changed"
        guest.detach(deleted)
        (row,) = probes.rows()["memslots"]
        assert (row.slot, row.gpa, row.size) == (deleted.slot, deleted.gpa, 0)
        elsewhere = replace(moved, gpa=moved.gpa + 64 * PAGE)
        guest.detach(moved)
        guest.attach(elsewhere)
        (row,) = probes.rows()["memslots"]
        assert (row.slot, row.gpa, row.size) == (moved.slot, elsewhere.gpa, moved.size)
        guest.attach(replace(elsewhere, flags=KVM_MEM_LOG_DIRTY_PAGES))
        (row,) = probes.rows()["memslots"]
        assert (row.slot, row.flags) == (moved.slot, KVM_MEM_LOG_DIRTY_PAGES)
        guest.attach(elsewhere)
        guest.attach(deleted)
        rows = list(probes.rows()["memslots"])
        assert {(row.slot, row.flags, row.size) for row in rows} == {
            (moved.slot, 0, moved.size),
            (deleted.slot, 0, deleted.size),
        }


def test_what_the_vmm_unmaps_or_forbids_is_seen(headers_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # At every reading, not only every few seconds.
    monkeypatch.setattr("collector.counting.memslots._AGAIN_NS", 0)
    layout = Layout()
    forbidden, half = (layout.add(memory.anonymous(4)) for _ in range(2))
    with looked(headers_cache) as probes, Guest(layout) as guest:
        guest.warm_up()
        before = list(probes.rows()["memslots"])
        assert _of(before, half).backing == "anonymous"
        forbidden.require_memory().forbid()
        host = half.require_memory()
        assert ctypes.CDLL(None).munmap(ctypes.c_void_p(host.address + PAGE), ctypes.c_size_t(PAGE)) == 0
        rows = list(probes.rows()["memslots"])
    assert _of(rows, forbidden).permissions == "---p"
    assert _of(rows, half).backing == "mixed"


def test_a_vm_at_the_address_of_another_is_not_taken_for_it(headers_cache: Path) -> None:
    with attached(headers_cache) as probes, closing(_looks(headers_cache, probes)) as loaded:
        seen: dict[int, VmKey] = {}
        reused = []
        for size in range(1, 65):
            layout = Layout()
            region = layout.add(memory.anonymous(size))
            with Guest(layout) as guest:
                guest.touch(region.touch(Op.WRITE))
                (vm,) = (key for key, of in probes.vms().items() if of.tgid == os.getpid())
                before = seen.get(vm.kvm)
                if before is not None:
                    reused.append((before, loaded.memslots(before, 0), loaded.vms([before])))
                seen[vm.kvm] = vm
                sizes = {one.slot: one.pages for one in loaded.memslots(vm, 0) or ()}
                assert sizes[region.slot] == size
                assert list(loaded.vms([vm])) == [vm]
            assert loaded.memslots(vm, 0) is None, "it has ended"
            assert not loaded.vms([vm])
            probes.forget([vm])
    assert reused, "the kernel has used no address again"
    assert all(memslots is None and not state for _, memslots, state in reused)


def test_a_vm_with_hundreds_of_memslots_has_them_all(headers_cache: Path) -> None:
    layout = Layout()
    for _ in range(300):
        layout.add(memory.anonymous(1))
    with looked(headers_cache) as probes, Guest(layout) as guest:
        guest.warm_up()
        rows = list(probes.rows()["memslots"])
    assert {(row.slot, row.gpa, row.size) for row in rows if row.slot} == {
        (region.slot, region.gpa, region.size) for region in layout.regions
    }


def _looks(headers_cache: Path, probes: Probes) -> looks.Looks:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    slots = probes.handles.maps["slots"]
    return looks.load(plan, headers, slots, cache=bytecode_of(headers_cache), terms=Terms())
