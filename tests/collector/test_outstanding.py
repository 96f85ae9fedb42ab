# SPDX-License-Identifier: Apache-2.0
"""The list of faults under way: how long it is, when it is sent, and which addresses its faults have."""

from collections.abc import Sequence
from typing import Any

import pytest

from collector.counting.outstanding import MOST_FAULTS, OutstandingWatcher
from collector.counting.reading import Reading
from collector.probe.layout import OpenFault, VmKey
from faultmodel.record_outstanding import Outstanding, OutstandingLook
from faultmodel.waits import WaitsFor
from tests.collector.readings import make_reading

NOW_NS = 1000 * 10**9
S = 10**9
VM = VmKey(0xFFFF_8880_0000_0000, 7)
IDS = {VM: "00000000000000a1"}


def fault(vcpu: int = 0, age_ns: int = S, **fields: Any) -> OpenFault:
    """A vCPU that is asleep in a fault for so long."""
    values: dict[str, Any] = {
        **{"tid": 100 + vcpu, "asleep": 1, "begun_ns": NOW_NS - age_ns, "asleep_since_ns": NOW_NS - age_ns},
        **{"walk_address": 0x1000 * vcpu, "ipa": 0x9000, "stack": 3},
    }
    return OpenFault(VM.kvm, VM.instance, vcpu, **(values | fields))


def reading(*faults: OpenFault) -> Reading:
    """A reading in which vCPUs are asleep."""
    return make_reading(monotonic_ns=NOW_NS, to_ns=5 * NOW_NS, open_faults=faults)


def watcher(form: str = "pferr", waits_for: WaitsFor | None = WaitsFor.LOCK) -> OutstandingWatcher:
    """A watcher that knows nothing of handlers."""
    named = None if waits_for is None else lambda _stack: (waits_for, "mmap_read_lock")
    return OutstandingWatcher(named, None, "refused", form=form)


def listed(found: OutstandingWatcher, *faults: OpenFault) -> Sequence[Outstanding]:
    """Return what is listed."""
    rows: Sequence[Outstanding] = found.rows(reading(*faults), IDS)["outstanding"]
    return rows


def test_a_list_without_faults_is_sent_once() -> None:
    found = watcher()
    empty = {"outstanding": [], "outstanding_looks": [OutstandingLook(5 * NOW_NS, 0)], "events": []}
    assert found.rows(reading(), IDS) == empty
    assert found.rows(reading(), IDS) == {}
    assert len(listed(found, fault())) == 1
    assert found.rows(reading(), IDS) == empty
    assert found.rows(reading(), IDS) == {}


def test_the_longest_are_listed_and_the_rest_is_counted() -> None:
    faults = [fault(vcpu, age_ns=S + vcpu) for vcpu in range(MOST_FAULTS + 3)]
    rows = watcher().rows(reading(*faults), IDS)
    assert [row.vcpu for row in rows["outstanding"]] == list(range(MOST_FAULTS + 2, 2, -1))
    assert rows["outstanding_looks"] == [OutstandingLook(5 * NOW_NS, 3)]


def test_what_is_short_or_of_a_vm_that_is_not_known_is_not_listed() -> None:
    other = fault(1)._replace(instance=8)
    assert [row.vcpu for row in listed(watcher(), fault(0, age_ns=S // 20), other, fault(2))] == [2]


def test_a_fault_that_was_not_timed_is_as_old_as_its_sleep() -> None:
    (row,) = listed(watcher(), fault(begun_ns=0, asleep_since_ns=NOW_NS - 7 * S))
    assert (row.age_ns, row.time_ns) == (7 * S, 5 * NOW_NS)


@pytest.mark.parametrize(
    ("form", "addresses"),
    [("pferr", (None, 0x3000)), ("npf", (0x3000, None)), ("esr_el2", (0x9000, 0x3000))],
)
def test_a_fault_has_the_addresses_that_its_first_event_shows(
    form: str, addresses: tuple[int | None, int | None]
) -> None:
    (row,) = listed(watcher(form), fault(3))
    assert (row.gpa, row.gva) == addresses


def test_the_lock_is_named_and_no_other_detail() -> None:
    assert [row.detail for row in listed(watcher(), fault())] == ["mmap_read_lock"]
    assert [row.detail for row in listed(watcher(waits_for=WaitsFor.SWAP), fault())] == [""]


def test_what_the_kernel_does_not_show_is_not_known_and_a_check_says_so() -> None:
    found = watcher(waits_for=None)
    (row,) = listed(found, fault())
    assert (row.waits_for, row.handler) == (None, None)
    unknown = "whether userfaultfd handlers live is not known"
    assert found.lacking() == f"{unknown}: the kernel does not name its functions"
    assert watcher().lacking() == f"{unknown}: refused"
