# SPDX-License-Identifier: Apache-2.0
"""A stock QEMU whose guest faults on command."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.machine import Op
from demo.qemu import PROGRAM, QemuGuest
from tests.demo.tracefs import Witness

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed"),
]

_NAME, _UUID = "demo-qemu", "6b1f3a52-0f6c-4b7e-9a57-3c1d2e4f5061"


@pytest.fixture
def witness() -> Iterator[Witness]:
    with Witness() as witness:
        yield witness


@pytest.fixture
def guest(witness: Witness) -> Iterator[QemuGuest]:
    with QemuGuest([(Op.WRITE, 1500), (Op.READ, 700), (Op.EXECUTE, 300)], name=_NAME, uuid=_UUID) as guest:
        witness.forget()
        yield guest


@pytest.mark.parametrize(
    ("number", "pages"), [(0, 1500), (1, 700), (2, 300)], ids=["write", "read", "execute"]
)
def test_between_command_and_answer_each_page_faults_once(
    guest: QemuGuest, witness: Witness, number: int, pages: int
) -> None:
    guest.do(number)
    assert witness.mapped() == {1: pages}


def test_pages_that_are_mapped_do_not_fault_again(guest: QemuGuest, witness: Witness) -> None:
    guest.do(0)
    witness.forget()
    guest.do(0)
    assert witness.mapped().total() == 0


def test_a_guest_that_waits_does_not_fault(guest: QemuGuest, witness: Witness) -> None:
    guest.do(1)
    guest.do(2)
    assert witness.mapped() == {1: 1000}


def test_it_bears_its_name_and_uuid(guest: QemuGuest) -> None:
    arguments = Path(f"/proc/{guest.pid}/cmdline").read_bytes().decode().split("\0")
    assert arguments[arguments.index("-name") + 1] == _NAME
    assert arguments[arguments.index("-uuid") + 1] == _UUID
