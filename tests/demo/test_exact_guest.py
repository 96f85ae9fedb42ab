# SPDX-License-Identifier: Apache-2.0
"""A guest does exactly what it was asked for: the kernel's own trace agrees with the truth that it prints."""

from collections.abc import Iterator

import pytest

from tests.demo.command import report_of, run
from tests.demo.tracefs import Witness

pytestmark = pytest.mark.kernel


@pytest.fixture
def witness() -> Iterator[Witness]:
    with Witness() as witness:
        yield witness


@pytest.mark.parametrize(
    ("order", "faults"),
    [
        pytest.param(("--write", "1000"), 1000, id="writes"),
        pytest.param(("--read", "1000"), 1000, id="reads"),
        pytest.param(("--execute", "1000"), 1000, id="fetches"),
        pytest.param(("--write", "1"), 1, id="one write"),
        pytest.param((), 0, id="nothing"),
        pytest.param(
            ("--write", "1001", "--read", "501", "--execute", "301", "--vcpus", "3"), 1803, id="3 vCPUs"
        ),
    ],
)
def test_every_touch_is_one_fault_beside_those_that_are_stated(
    witness: Witness, order: tuple[str, ...], faults: int
) -> None:
    truth = report_of(run("run", *order).stdout)
    asked_for = sum(vcpu["read"] + vcpu["write"] + vcpu["execute"] for vcpu in truth.vcpus)
    assert asked_for == faults
    assert witness.mapped() == {1: truth.faults}


@pytest.mark.parametrize("op", ["--write", "--read", "--execute"])
def test_memory_used_again_faults_again_page_by_page(witness: Witness, op: str) -> None:
    truth = report_of(run("run", op, "50000", "--vcpus", "2").stdout)
    assert witness.mapped() == {1: truth.faults}


def test_work_is_shared_between_vcpus_and_the_first_has_the_rest() -> None:
    truth = report_of(run("run", "--write", "11", "--vcpus", "3").stdout)
    assert [vcpu["write"] for vcpu in truth.vcpus] == [5, 3, 3]


def test_memory_fault_exits_say_address_and_size(witness: Witness) -> None:
    truth = report_of(run("run", "--memory-fault", "300").stdout)
    assert witness.failed_runs() == 300
    assert {(e["reason"], e["errno"], e["size"], e["flags"]) for e in truth.exits} == {(39, 14, 4096, 0)}
    assert all(e["gpa"] == e["touched"] for e in truth.exits)
    assert len({e["gpa"] for e in truth.exits}) == 256


def test_bare_errors_have_no_reason_and_no_address(witness: Witness) -> None:
    truth = report_of(run("run", "--bare-error", "30").stdout)
    assert witness.failed_runs() == 30
    assert {(e["reason"], e["errno"], e["gpa"]) for e in truth.exits} == {(0, 14, None)}


def test_failed_accesses_map_nothing(witness: Witness) -> None:
    truth = report_of(run("run", "--memory-fault", "10", "--bare-error", "10").stdout)
    assert witness.mapped() == {1: truth.faults}
    assert truth.vcpus[0]["write"] == 0


def test_errors_happen_on_the_vcpu_that_is_named() -> None:
    truth = report_of(run("run", "--memory-fault", "4", "--vcpus", "2").stdout)
    assert [failed["vcpu"] for failed in truth.exits] == [0, 0, 1, 1]
