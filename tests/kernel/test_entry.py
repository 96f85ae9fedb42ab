# SPDX-License-Identifier: Apache-2.0
"""Faults that end where the guest goes on: which outcome each has, by the order of events that are made up.

This is x86. Guests of stock kernels with SVM are in tests/emulated; not all of this happens to them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faultmodel.outcomes import Outcome
from faultmodel.stalls import UNTIMED
from tests.kernel.made_up import VCPU, MadeUp, loaded, made_up, plan_of_svm

pytestmark = pytest.mark.kernel

WRITE = 0x100000006
EFAULT, EHWPOISON = -14, -133
EXIT_IO, EXIT_MMIO, EXIT_MEMORY_FAULT = 2, 6, 39


@pytest.fixture(scope="module", name="of_all")
def _of_all(headers_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeUp]:
    with made_up(*plan_of_svm(headers_cache, tmp_path_factory.mktemp("modules"))) as vcpu:
        yield vcpu


@pytest.fixture(name="x86")
def _x86(of_all: MadeUp) -> MadeUp:
    """Nothing is left of the test before."""
    of_all.begin_anew()
    return of_all


def _fault(vcpu: MadeUp, page: int, word: int = WRITE) -> None:
    vcpu.happens("kvm_page_fault", VCPU, page << 12, word)


def test_a_fault_ends_once_and_where_the_guest_goes_on(x86: MadeUp) -> None:
    _fault(x86, 1)
    assert x86.ended() == {}
    x86.enter()
    x86.enter()
    found = x86.stalls()
    ((key, values),) = found.counts.items()
    assert (key.outcome, key.word, key.vcpu, sum(values[:4])) == (Outcome.RESUMED, WRITE, 3, 1)
    assert key.octave != UNTIMED
    assert values[4] > 0


def test_what_kvm_does_about_it_last_is_its_outcome(x86: MadeUp) -> None:
    _fault(x86, 1)
    # The device's page is known by now. Then an instruction is emulated, which finds memory.
    x86.happens("handle_mmio_page_fault", 1 << 12, 1, 0)
    x86.enter()
    assert x86.ended() == {Outcome.MMIO: 1}


@pytest.mark.parametrize("page", [2, 1])
def test_one_that_begins_ends_one_that_was_not_seen_to(x86: MadeUp, page: int) -> None:
    _fault(x86, 1)
    _fault(x86, page)
    assert x86.ended() == {Outcome.RESUMED: 1}
    x86.enter()
    assert x86.ended() == {Outcome.RESUMED if page == 2 else Outcome.RETRIED: 1}


@pytest.mark.parametrize(
    ("reason", "result", "outcome"),
    [
        (0, EFAULT, Outcome.EXIT),
        (EXIT_MEMORY_FAULT, EFAULT, Outcome.EXIT),
        (EXIT_MEMORY_FAULT, EHWPOISON, Outcome.EXIT),
        (EXIT_MMIO, 0, Outcome.MMIO),
        (EXIT_IO, 0, Outcome.RESUMED),
        # What an earlier exit has left there.
        (EXIT_MMIO, -4, Outcome.RESUMED),
    ],
)
def test_where_kvm_run_returns_it_ends_too(x86: MadeUp, reason: int, result: int, outcome: Outcome) -> None:
    # The second exit is of the kind that the vCPU has left with before.
    for page in (1, 2):
        _fault(x86, page)
        x86.leave(reason, result)
        x86.enter()
    assert x86.ended() == {outcome: 2}


def test_the_same_fault_again_after_nothing_was_done_is_a_retry(x86: MadeUp) -> None:
    for _ in range(3):
        _fault(x86, 1)
        x86.enter()
    _fault(x86, 1)
    x86.interrupt()
    _fault(x86, 1)
    x86.happens("handle_mmio_page_fault", 1 << 12, 1, 0)
    x86.enter()
    assert x86.ended() == {Outcome.RESUMED: 1, Outcome.RETRIED: 3, Outcome.MMIO: 1}


def test_it_is_none_after_something_was_done_or_at_another_page_or_of_another_kind(x86: MadeUp) -> None:
    _fault(x86, 1)
    x86.happens("handle_mmio_page_fault", 1 << 12, 1, 0)
    x86.enter()
    for page, word in ((1, WRITE), (2, WRITE), (2, WRITE | 1), (1, WRITE)):
        _fault(x86, page, word)
        x86.enter()
    # User space was asked for something between these two.
    x86.leave(EXIT_IO)
    _fault(x86, 1)
    x86.enter()
    assert x86.ended() == {Outcome.MMIO: 1, Outcome.RESUMED: 5}


def test_the_guest_of_another_vcpu_that_goes_on_ends_none(x86: MadeUp) -> None:
    _fault(x86, 1)
    x86.happens("kvm_entry", VCPU + 8, 0)
    x86.enter()
    assert x86.ended() == {}


def test_where_no_more_may_be_timed_one_in_sixteen_is(x86: MadeUp) -> None:
    x86.set(timed_left=1, untimed=0)
    for page in range(17):
        _fault(x86, page)
        x86.enter()
    timed = sum(sum(values[:4]) for key, values in x86.stalls().counts.items() if key.octave != UNTIMED)
    assert timed == 2


def _times(vcpu: MadeUp) -> list[tuple[Outcome, bool]]:
    """Return of what has ended since the last time how, and whether it was timed."""
    counts = vcpu.stalls().counts.items()
    return [(key.outcome, key.octave != UNTIMED) for key, values in counts for _ in range(sum(values[:4]))]


def test_while_no_entry_is_seen_a_fault_lasts_until_the_last_that_kvm_did_about_it(x86: MadeUp) -> None:
    """From the second fault on: the programs do not know that entries are not seen."""
    for page in range(3):
        _fault(x86, page)
        x86.happens("handle_mmio_page_fault", page << 12, page, 0)
        x86.enter_unseen()
    assert sorted(_times(x86)) == [(Outcome.MMIO, False), (Outcome.MMIO, True)]
    _fault(x86, 4)
    x86.enter_unseen()
    # Nothing was done about this one that an event shows.
    _fault(x86, 5)
    assert sorted(_times(x86)) == [(Outcome.MMIO, True), (Outcome.RESUMED, False)]


@pytest.mark.parametrize(("reason", "result"), [(0, EFAULT), (EXIT_MMIO, 0), (EXIT_IO, 0), (0, -22)])
def test_an_exit_after_the_guest_has_gone_on_unseen_is_not_how_its_fault_ended(
    x86: MadeUp, reason: int, result: int
) -> None:
    _fault(x86, 1)
    x86.enter_unseen()
    x86.leave(reason, result)
    assert _times(x86) == [(Outcome.RESUMED, False)]
    # The next one does end in its exit, and how long it took is known.
    _fault(x86, 2)
    x86.leave(0, EFAULT)
    assert _times(x86) == [(Outcome.EXIT, True)]


def test_the_first_entry_that_is_seen_again_is_not_the_end_of_a_fault_before(x86: MadeUp) -> None:
    _fault(x86, 1)
    x86.enter_unseen()
    x86.enter()
    assert _times(x86) == [(Outcome.RESUMED, False)]
    _fault(x86, 2)
    x86.enter()
    assert _times(x86) == [(Outcome.RESUMED, True)]


def test_the_same_fault_again_is_a_retry_where_no_entry_was_seen(x86: MadeUp) -> None:
    for _ in range(3):
        _fault(x86, 1)
        x86.enter_unseen()
    _fault(x86, 2)
    assert sorted(_times(x86)) == [
        (Outcome.RESUMED, False),
        (Outcome.RETRIED, False),
        (Outcome.RETRIED, False),
    ]


def test_the_verifier_takes_the_programs_with_the_types_of_their_arguments(
    headers_cache: Path, tmp_path: Path
) -> None:
    """Where it refuses them, they are loaded without: to read an argument then costs some 40 ns more."""
    headers, plan = plan_of_svm(headers_cache, tmp_path)
    with loaded(headers, plan, is_typed=True) as probes:
        assert {name.partition(":")[2] for name in plan.attach} == {*probes.handles.programs}
