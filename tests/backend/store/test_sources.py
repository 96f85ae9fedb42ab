# SPDX-License-Identifier: Apache-2.0
"""What counts on a host: coverage by boot and counting, and what two that count at once are found by."""

import pytest

from backend.store.contract.hosts import FindingCode
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.kinds import HostState
from faultmodel.record import Span
from faultmodel.wire import Batch
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

ALWAYS = TimeRange()
BOOT = "8a6f0e2c-3f58-4a57-9f0e-6d7a5b1c2d3e"
OTHER_BOOT = "00000000-3f58-4a57-9f0e-6d7a5b1c2d3e"
OTHER_VM = "00000000000000b2"
ONE, TWO = "1" * 32, "2" * 32


def second(
    at_s: int, stream: str, *, name: str = "host-1", boot_id: str = BOOT, vm: str = VM_ID, sequence: int = -1
) -> Batch:
    """Return what a stream, whose counting has its name, says of one second: ten faults."""
    start_ns = START_NS + at_s * NS_PER_S
    return make_batch(
        at_s if sequence < 0 else sequence,
        stream=stream,
        host=make_host(name, boot_id=boot_id),
        covered=(Span(start_ns, start_ns + NS_PER_S),),
        vms=[make_vm(vm)],
        fault_counts=[fault_count(vm, second=at_s, faults=10)],
        ledger=[ledger_entry(vm, second=at_s, seen=10, seen_total=10 * (at_s + 1))],
    )


def received_ns(at_s: int) -> int:
    """Return when the server takes what was counted in a second."""
    return START_NS + (at_s + 1) * NS_PER_S


def found(store: Store) -> list[tuple[FindingCode, list[str]]]:
    """Return findings and the hosts that they are about."""
    return sorted((item.code, sorted(item.hosts)) for item in store.findings())


def test_two_countings_at_once_are_found(store: Store) -> None:
    for at_s in range(3):
        store.apply(second(at_s, ONE), received_ns(at_s))
        store.apply(second(at_s, TWO), received_ns(at_s) + 1)
    assert found(store) == [(FindingCode.COUNTED_TWICE, ["host-1"])]
    (item,) = store.findings()
    assert sorted(item.subject) == [ONE, TWO]
    assert (item.first_ns, item.last_ns) == (received_ns(1) + 1, received_ns(2) + 1)
    assert list(store.doubled([VM_ID])) == [VM_ID]


def test_one_counting_after_the_other_is_no_double_count(store: Store) -> None:
    for at_s in range(6):
        store.apply(second(at_s, ONE if at_s < 3 else TWO), received_ns(at_s))
    assert found(store) == []
    assert not store.doubled([VM_ID])


def test_what_waited_comes_in_order_and_is_no_double_count(store: Store) -> None:
    # Both collectors ran while the server was away, the second after the first; a batch put aside came last.
    for at_s in (0, 1, 3, 4, 5, 2):
        store.apply(second(at_s, ONE if at_s < 3 else TWO), received_ns(9))
    assert found(store) == []


@pytest.mark.parametrize("later_s", [60, 7200])
@pytest.mark.parametrize("names", [("a", "a"), ("a", "b")])
def test_what_two_counted_at_once_is_found_whenever_it_comes(
    store: Store, names: tuple[str, str], later_s: int
) -> None:
    # The second could not deliver, for example for want of a token, until the first had ended.
    for at_s in range(10):
        store.apply(second(at_s, ONE, name=names[0]), received_ns(at_s))
    for at_s in range(10):
        store.apply(second(at_s, TWO, name=names[1]), received_ns(later_s + at_s))
    if names == ("a", "a"):
        assert found(store) == [(FindingCode.COUNTED_TWICE, ["a"])]
        assert list(store.doubled([VM_ID])) == [VM_ID]
    else:
        assert found(store) == [(FindingCode.RENAMED, ["a", "b"]), (FindingCode.TWO_NAMES, ["a", "b"])]


def test_what_two_counted_at_once_is_found_when_the_earlier_comes_last(store: Store) -> None:
    for at_s in range(20, 30):
        store.apply(second(at_s, TWO), received_ns(at_s))
    for at_s in range(30):
        store.apply(second(at_s, ONE), received_ns(at_s + 7200))
    assert found(store) == [(FindingCode.COUNTED_TWICE, ["host-1"])]


@pytest.mark.parametrize("back_s", [0, 3, 200])
def test_a_clock_that_steps_back_at_a_restart_is_no_double_count(store: Store, back_s: int) -> None:
    # Until then the clock was ahead; from then on it is right.
    for at_s in range(300):
        store.apply(second(at_s, ONE), received_ns(at_s - back_s))
    for at_s in range(300 - back_s, 600 - back_s):
        store.apply(second(at_s, TWO), received_ns(at_s))
    assert found(store) == []


def test_only_vms_that_both_counted_are_doubled(store: Store) -> None:
    for at_s in range(3):
        store.apply(second(at_s, ONE), received_ns(at_s))
        store.apply(second(at_s, TWO, vm=OTHER_VM), received_ns(at_s) + 1)
    assert found(store) == [(FindingCode.COUNTED_TWICE, ["host-1"])]
    assert not store.doubled([VM_ID, OTHER_VM])


def test_one_machine_under_two_names_is_found(store: Store) -> None:
    for at_s in range(3):
        store.apply(second(at_s, ONE, name="a"), received_ns(at_s))
        store.apply(second(at_s, TWO, name="b"), received_ns(at_s) + 1)
    assert found(store) == [(FindingCode.RENAMED, ["a", "b"]), (FindingCode.TWO_NAMES, ["a", "b"])]


def test_a_machine_that_is_renamed_is_found_and_counts_on(store: Store) -> None:
    for at_s in range(6):
        name, sequence = ("a", at_s) if at_s < 3 else ("b", at_s - 3)
        batch = second(at_s, ONE, name=name, sequence=sequence)
        assert store.apply(batch, received_ns(at_s))
    assert found(store) == [(FindingCode.RENAMED, ["a", "b"])]
    vms = dict(store.vms_of(None, ALWAYS))
    assert sorted(vms.values()) == ["a", "b"]
    # The programs counted on: what is stored under the old name is not missing under the new one.
    totals = store.counting_totals(list(vms))
    assert [max(0, item.seen_total - item.stored) for item in totals] == [0, 0]


def test_what_is_missing_of_a_renamed_host_is_missing(store: Store) -> None:
    for at_s in (0, 2, 3, 5):
        name, sequence = ("a", at_s) if at_s < 3 else ("b", at_s - 3)
        store.apply(second(at_s, ONE, name=name, sequence=sequence), received_ns(at_s))
    (renamed,) = dict(store.vms_of(["b"], ALWAYS))
    (total,) = store.counting_totals([renamed])
    assert total.seen_total - total.stored == 20


def test_two_machines_under_one_name_are_found(store: Store) -> None:
    for at_s in range(3):
        store.apply(second(at_s, ONE), received_ns(at_s))
        store.apply(second(at_s, TWO, boot_id=OTHER_BOOT, vm=OTHER_VM), received_ns(at_s) + 1)
    assert found(store) == [(FindingCode.TWO_MACHINES, ["host-1"])]


def test_a_machine_that_boots_anew_is_one(store: Store) -> None:
    for at_s in range(6):
        boot_id, stream = (BOOT, ONE) if at_s < 3 else (OTHER_BOOT, TWO)
        store.apply(second(at_s, stream, boot_id=boot_id), received_ns(at_s))
    assert found(store) == []


def test_recordings_are_no_second_counting(store: Store) -> None:
    for at_s in range(3):
        store.apply(second(at_s, ONE), received_ns(at_s))
        recorded = make_batch(at_s, stream=TWO, host=make_host("host-1", state=HostState.REPLAY))
        store.apply(recorded, received_ns(at_s) + 1)
    assert found(store) == []


def test_a_vm_is_covered_while_its_own_machine_is(store: Store) -> None:
    # Two machines go by one name; the first is not traced for a while.
    for at_s in range(6):
        if at_s not in (2, 3):
            store.apply(second(at_s, ONE), received_ns(at_s))
        store.apply(second(at_s, TWO, boot_id=OTHER_BOOT, vm=OTHER_VM), received_ns(at_s) + 1)

    of_vms = store.vm_coverage([VM_ID, OTHER_VM, "nobody"], ALWAYS)
    spans = {
        vm_id: [
            ((span.from_ms - START_MS) // 1000, (span.to_ms - START_MS) // 1000)
            for span in of_vms.spans[place]
        ]
        for vm_id, place in of_vms.place_of.items()
    }
    assert spans == {VM_ID: [(0, 2), (4, 6)], OTHER_VM: [(0, 6)]}
    assert store.vm(VM_ID, ALWAYS).fault_rate == 10.0
    (span,) = store.coverage(None, ALWAYS)
    assert (span.from_ms, span.to_ms) == (START_MS, START_MS + 6000)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_span_that_waited_is_its_own_sources(store: Store, late: int) -> None:
    """Parts of a reading may come after a batch of the other machine."""
    parts = [
        make_batch(0, stream=ONE, covered=()),
        make_batch(1, stream=ONE, part=1, covered=()),
        make_batch(2, stream=ONE, part=2, covered=(Span(START_NS, START_NS + NS_PER_S),), vms=[make_vm()]),
    ]
    for number in (n for n in range(3) if n != late):
        store.apply(parts[number], START_NS)
    store.apply(second(0, TWO, boot_id=OTHER_BOOT, vm=OTHER_VM), START_NS)
    store.apply(parts[late], START_NS)
    of_vms = store.vm_coverage([VM_ID], ALWAYS)
    (span,) = of_vms.spans[of_vms.place_of[VM_ID]]
    assert (span.from_ms, span.to_ms) == (START_MS, START_MS + 1000)
