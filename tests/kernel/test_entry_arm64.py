# SPDX-License-Identifier: Apache-2.0
"""How faults end on arm64, by the order of events that are made up, with arm64's programs on any host.

Guests of stock kernels are in tests/emulated; not all of this happens to them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faultmodel.outcomes import Outcome
from faultmodel.stalls import UNTIMED
from tests.kernel.made_up import MadeUp, headers_of_arm64, made_up

pytestmark = pytest.mark.kernel

ESR = 0x93050044
EFAULT, ENOSYS = -14, -38
EXIT_MMIO, EXIT_NISV = 6, 28


@pytest.fixture(scope="module", name="of_all")
def _of_all(headers_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeUp]:
    with made_up(*headers_of_arm64(headers_cache, tmp_path_factory.mktemp("headers") / "arm64")) as vcpu:
        yield vcpu


@pytest.fixture(name="arm64")
def _arm64(of_all: MadeUp) -> MadeUp:
    """Nothing is left of the test before."""
    of_all.begin_anew()
    return of_all


def _guest_fault(vcpu: MadeUp, page: int, esr: int = ESR, pc: int = 0x1000) -> None:
    vcpu.happens("kvm_guest_fault", pc, esr, page << 12, page << 12)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("kvm_access_fault", Outcome.ACCESS_FLAG),
        ("kvm_mmio", Outcome.MMIO),
        ("kvm_mmio_nisv", Outcome.NISV),
        ("kvm_inject_nested_exception", Outcome.REFLECTED),
    ],
)
def test_what_kvm_does_within_a_fault_is_its_outcome(arm64: MadeUp, event: str, outcome: Outcome) -> None:
    arm64.happens(event, 0, 0, 0, 0)
    _guest_fault(arm64, 1)
    arm64.enter()
    _guest_fault(arm64, 2)
    arm64.happens(event, 0, 0, 0, 0)
    arm64.enter()
    arm64.happens(event, 0, 0, 0, 0)
    assert arm64.ended() == {Outcome.RESUMED: 1, outcome: 1}


def test_an_access_that_goes_to_user_space_ends_there(arm64: MadeUp) -> None:
    _guest_fault(arm64, 1)
    arm64.happens("kvm_mmio_nisv", 0, 0, 0, 0)
    arm64.leave(EXIT_NISV)
    # A device is read. What the VMM has read is handed over in the next KVM_RUN.
    _guest_fault(arm64, 2)
    arm64.happens("kvm_mmio", 0, 1, 2 << 12, 0)
    arm64.leave(EXIT_MMIO)
    arm64.happens("kvm_mmio", 1, 1, 2 << 12, 0)
    arm64.enter()
    _guest_fault(arm64, 3)
    arm64.leave(0, EFAULT)
    # As before Linux 6.2, where no event says that there was no syndrome; and as from then on.
    _guest_fault(arm64, 4)
    arm64.leave(0, ENOSYS)
    _guest_fault(arm64, 5)
    arm64.happens("kvm_mmio_nisv", 0, 0, 0, 0)
    arm64.leave(0, ENOSYS)
    assert arm64.ended() == {Outcome.NISV: 2, Outcome.MMIO: 1, Outcome.EXIT: 2}


def test_the_same_fault_again_is_a_retry_if_nothing_else_has_run(arm64: MadeUp) -> None:
    for pc in (0x1000, 0x1000, 0x1000, 0x1004, 0x1004):
        _guest_fault(arm64, 1, pc=pc)
        arm64.enter()
    assert arm64.ended() == {Outcome.RESUMED: 2, Outcome.RETRIED: 3}


def test_while_no_entry_is_seen_each_fault_ends_once_and_is_timed_where_an_event_shows_its_end(
    arm64: MadeUp,
) -> None:
    for page in range(2):
        _guest_fault(arm64, page)
        arm64.enter_unseen()
    _guest_fault(arm64, 2)
    arm64.happens("kvm_access_fault", 0)
    arm64.enter_unseen()
    arm64.leave(0, EFAULT)
    found = {
        key.outcome: (key.octave != UNTIMED, sum(values[:4])) for key, values in arm64.stalls().counts.items()
    }
    assert found == {Outcome.RESUMED: (False, 2), Outcome.ACCESS_FLAG: (True, 1)}


def test_of_a_fault_again_and_again_the_address_in_the_guests_memory_is_kept(arm64: MadeUp) -> None:
    arm64.set(repeats=0)
    for _ in range(300):
        arm64.happens("kvm_guest_fault", 0x1000, ESR, 0xFFFF_0000_5123, 0x4800_1000)
        arm64.enter()
    found = arm64.repeats()
    assert found is not None
    assert (found.repeats_address, found.repeats_pc, found.repeats_word) == (0x4800_1123, 0x1000, ESR)
    assert found.repeats_unmapped > 250
