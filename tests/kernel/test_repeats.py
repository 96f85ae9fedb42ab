# SPDX-License-Identifier: Apache-2.0
"""What the programs keep of faults on the same page again and again, by events that are made up.

This is x86: where faults begin with an event of their own, as with SVM, and with a walk, as on PVM.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import NOT_SHOWN
from collector.probe.plan import make_plan
from tests.kernel.made_up import VCPU, MadeUp, made_up, plan_of_svm

pytestmark = pytest.mark.kernel

TIMES = 300
READ_AT = 16
"""The repeat at which the clock and the instruction are read first; what is kept begins there."""
NPF, PFERR = 2, 3
WRITE = 6


class _Svm:
    """Faults have an event of their own, and end where the guest goes on."""

    format = NPF

    def __init__(self, vcpu: MadeUp) -> None:
        self.vcpu = vcpu

    def fault(self, page: int, *, is_mapped: bool = False) -> None:
        self.vcpu.happens("kvm_page_fault", VCPU, page << 12, WRITE)
        if is_mapped:
            self.vcpu.happens("kvm_mmu_spte_requested", 0)
        self.vcpu.enter()


class _Walks:
    """Faults begin with a walk, and are counted when they are mapped."""

    format = PFERR

    def __init__(self, vcpu: MadeUp) -> None:
        self.vcpu = vcpu

    def fault(self, page: int, *, is_mapped: bool = False) -> None:
        self.vcpu.happens("kvm_mmu_pagetable_walk", page << 12, WRITE)
        if is_mapped:
            self.vcpu.happens("kvm_mmu_spte_requested", 0)


Kvm = _Svm | _Walks


@pytest.fixture(scope="module", name="of_all", params=[_Svm, _Walks])
def _of_all(
    request: pytest.FixtureRequest, headers_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kvm]:
    make: Callable[[MadeUp], Kvm] = request.param
    folder = tmp_path_factory.mktemp("modules")
    if make is _Svm:
        headers, plan = plan_of_svm(headers_cache, folder)
    else:
        headers = ensure_headers(headers_cache)
        plan = make_plan(read_facts(headers), "x86_64", folder)
    with made_up(headers, plan) as vcpu:
        yield make(vcpu)


@pytest.fixture(name="kvm")
def _kvm(of_all: Kvm) -> Kvm:
    """Nothing is left of the test before."""
    of_all.vcpu.set(is_open=0, noted=0, walk_address=0, earlier_address=0, repeats=0)
    return of_all


def test_a_page_that_is_tried_in_vain_again_and_again(kvm: Kvm) -> None:
    for _ in range(TIMES):
        kvm.fault(5)
    found = kvm.vcpu.repeats()
    assert found is not None
    assert (found.repeats, found.repeats_unmapped) == (TIMES - 1, TIMES - 1 - READ_AT)
    assert (found.repeats_address, found.repeats_word, found.repeats_format) == (5 << 12, WRITE, kvm.format)
    assert found.repeats_pc == NOT_SHOWN
    assert found.repeats_since_ns > 0
    for _ in range(TIMES):
        kvm.fault(5)
    later = kvm.vcpu.repeats()
    assert later == found._replace(
        repeats=found.repeats + TIMES, repeats_unmapped=found.repeats_unmapped + TIMES
    )


def test_one_that_is_mapped_each_time_is_told_apart(kvm: Kvm) -> None:
    for _ in range(TIMES):
        kvm.fault(5, is_mapped=True)
    found = kvm.vcpu.repeats()
    assert found is not None
    assert (found.repeats, found.repeats_unmapped) == (TIMES - 1, 0)


def test_two_pages_may_take_turns(kvm: Kvm) -> None:
    for _ in range(TIMES):
        kvm.fault(5)
        kvm.fault(9)
    found = kvm.vcpu.repeats()
    assert found is not None
    assert (found.repeats, found.repeats_unmapped) == (2 * TIMES - 2, 2 * TIMES - 2 - READ_AT)


def test_whoever_goes_through_memory_repeats_nothing(kvm: Kvm) -> None:
    for page in range(1, TIMES):
        kvm.fault(page)
    # Each twice, as with copy on write.
    for page in range(1, TIMES):
        kvm.fault(page)
        kvm.fault(page, is_mapped=True)
    for _ in range(TIMES):
        for page in (5, 6, 7):
            kvm.fault(page)
    assert kvm.vcpu.repeats() is None


def test_a_third_page_begins_it_anew(kvm: Kvm) -> None:
    for _ in range(TIMES):
        kvm.fault(5)
    kvm.fault(6)
    kvm.fault(7)
    kvm.fault(5)
    assert kvm.vcpu.repeats() is None
    for _ in range(TIMES):
        kvm.fault(5)
    found = kvm.vcpu.repeats()
    assert found is not None
    assert found.repeats == TIMES
