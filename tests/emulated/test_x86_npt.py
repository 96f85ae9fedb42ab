"""The collector on stock x86_64 kernels with SVM and nested paging: every fault is what the guests did.

With NPT each guest takes four of its first faults while the processor walks the guest's own page tables,
one for each of their levels. It walks them as a writer, since it sets accessed bits.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests.emulated.matrix import X86_NPT, parameters
from tests.emulated.report import traced
from tests.emulated.session import Session
from tests.emulated.x86_guests import GUESTS, both

pytestmark = pytest.mark.emulated

# EXITINFO1: bit 32 is of the final address, bit 33 of a walk of the guest's tables; bit 2 is always set.
READ, WRITE, FETCH = 0x1_0000_0004, 0x1_0000_0006, 0x1_0000_0014
WRITE_OF_PROTECTED = 0x1_0000_0007
READ_OF_MMIO, WRITE_OF_MMIO = 0x1_0000_000C, 0x1_0000_000E
WALK = 0x2_0000_0006
WALKS = 4
PAGE = 4096


@pytest.fixture(scope="module", params=parameters(X86_NPT))
def session(
    request: pytest.FixtureRequest, kernels_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Session:
    """One boot, on which all the guests have run."""
    return traced(request.config, request.param, kernels_folder, tmp_path_factory.mktemp("npt"), GUESTS)


def _own(told_read: int) -> dict[int, int]:
    """The faults of a guest that has read its own pages and nothing else: so many, and a fetch."""
    return {READ: told_read - WALKS, WALK: WALKS, FETCH: 1}


def test_the_collector_attaches_to_every_tracepoint_pins_and_ends_in_order(session: Session) -> None:
    assert session.status["kernel"] == session.kernel.release
    assert session.status["flavour"] == "svm"
    assert session.status["lost"] == {}
    assert {probe["tracepoint"]: probe["state"] for probe in session.status["probes"]} == {
        "kvm:kvm_page_fault": "attached",
        "kvmmmu:kvm_mmu_spte_requested": "attached",
        "kvmmmu:fast_page_fault": "attached",
        "kvmmmu:handle_mmio_page_fault": "attached",
        "kvm:kvm_userspace_exit": "attached",
        "uevent:kvm": "attached",
        "bpffs:pins": "attached",
    }
    assert session.collector_status == 0


def test_the_doctor_finds_nothing_missing(session: Session) -> None:
    assert {name: found["state"] for name, found in session.doctor.items() if found["state"] != "ok"} == {}


def test_the_compiler_has_nothing_to_say(session: Session) -> None:
    assert [line for line in session.collector_log.splitlines() if "warning" in line or "error" in line] == []


@pytest.mark.parametrize("guest", ["touches", "many"])
def test_every_touch_is_a_nested_page_fault_of_its_kind_that_is_mapped(session: Session, guest: str) -> None:
    told, shown = both(session, guest)
    expected = {WRITE: told.write, READ: told.read - WALKS, FETCH: told.execute, WALK: WALKS}
    assert shown.words == {word: count for word, count in expected.items() if count}
    assert shown.formats == {"npf"}
    assert shown.outcomes == {"mapped_4k": told.faults}
    assert shown.vcpus == told.by_vcpu


def test_words_are_decoded(session: Session) -> None:
    told, shown = both(session, "touches")
    assert shown.flags == {
        "user": told.faults,
        "guest_final": told.faults - WALKS,
        "guest_page": WALKS,
        "read": told.read - WALKS,
        "write": told.write + WALKS,
        "execute": told.execute,
        "fetch": told.execute,
    }


def test_every_fault_is_recorded_with_its_address_and_instruction(session: Session) -> None:
    _, shown = both(session, "touches")
    touched = Counter(
        (fault["vcpu"], fault["access"], int(fault["gpa"], 16))
        for fault in shown.faults
        if "guest_final" in fault["flags"]
    )
    assert set(touched.values()) == {1}
    # The guest's regions begin at 16 MiB, with vCPU 0's data.
    writes = sorted(gpa for vcpu, access, gpa in touched if (vcpu, access) == (0, "write"))
    reads = sorted(gpa for vcpu, access, gpa in touched if (vcpu, access) == (0, "read") and gpa >= writes[0])
    assert writes == [0x1000000 + number * PAGE for number in range(500)]
    assert reads == writes[:351]
    fetches = [fault for fault in shown.faults if fault["access"] == "execute"]
    assert {fault["syndrome"]["words"].get("rip", "0x0") == fault["gpa"] for fault in fetches} == {True}


@pytest.mark.parametrize("guest", GUESTS)
def test_the_ledger_accounts_for_every_fault(session: Session, guest: str) -> None:
    shown = session.accounts[guest].shown
    if shown is None:
        pytest.skip(f"this kernel cannot run it: {session.accounts[guest].refused}")
    faults = shown.vm["faults"]
    assert shown.ledger["balanced"]
    assert {name: shown.ledger[name]["total"] for name in ("seen", "counted", "recorded")} == {
        "seen": faults,
        "counted": faults,
        "recorded": faults,
    }
    assert len(shown.faults) == faults == sum(shown.words.values())


def test_a_bare_error_is_a_fault_without_outcome_and_an_exit_without_address(session: Session) -> None:
    told, shown = both(session, "bare errors")
    assert shown.words == {WRITE: 13, READ: told.read - WALKS + 13, FETCH: 1 + 13, WALK: WALKS}
    assert shown.outcomes == {"mapped_4k": told.faults}
    assert len(shown.exits) == len(told.exits) == shown.vm["bare_error_exits"] == 39
    assert {(item["kind"], item["reason"], item["errno"], item["gpa"]) for item in shown.exits} == {
        ("bare_error", 0, 14, None)
    }
    assert Counter(int(item["syndrome"]["word"], 16) for item in shown.exits) == {
        READ: 13,
        WRITE: 13,
        FETCH: 13,
    }
    _assert_addresses_are_those_touched(session, "bare errors")


def test_a_memory_fault_exit_is_a_fault_and_an_exit_with_its_address(session: Session) -> None:
    _require(session, "memory faults")
    told, shown = both(session, "memory faults")
    assert shown.words == {WRITE: 20, READ: told.read - WALKS + 10, FETCH: 1 + 10, WALK: WALKS}
    assert shown.vm["memory_fault_exits"] == 40
    assert sorted(int(item["gpa"], 16) for item in shown.exits) == sorted(item["gpa"] for item in told.exits)
    assert Counter(item["vcpu"] for item in shown.exits) == {0: 20, 1: 20}
    assert {
        (item["kind"], item["reason"], item["errno"], item["size"], item["flags_raw"]) for item in shown.exits
    } == {("memory_fault", 39, 14, PAGE, "0x0")}
    _assert_addresses_are_those_touched(session, "memory faults")


def test_memory_of_a_guest_memfd_is_mapped_as_any_other(session: Session) -> None:
    _require(session, "guest_memfd")
    told, shown = both(session, "guest_memfd")
    assert shown.words == {**_own(told.read), WRITE: 40}
    assert shown.outcomes == {"mapped_4k": told.faults}
    assert shown.exits == []


def test_a_write_to_a_page_whose_log_is_on_is_put_right_without_the_lock(session: Session) -> None:
    told, shown = both(session, "dirty log")
    assert shown.words == {**_own(told.read), WRITE: 2048, WRITE_OF_PROTECTED: 40}
    assert shown.outcomes == {"mapped_4k": told.faults - 40, "fast": 40}
    assert shown.flags["dirty_logging"] == 40


def test_a_page_copied_on_write_faults_for_its_protection_and_anew(session: Session) -> None:
    told, shown = both(session, "copy on write")
    assert shown.words == {**_own(told.read - 20), READ: told.read - WALKS, WRITE_OF_PROTECTED: 20, WRITE: 20}
    # The first of the two is only retried.
    assert shown.outcomes == {"mapped_4k": told.faults}


def test_a_huge_page_is_one_fault_mapped_at_its_level(session: Session) -> None:
    told, shown = both(session, "huge pages")
    assert shown.words == {**_own(told.read), WRITE: 32}
    assert shown.outcomes == {"mapped_2m": 32, "mapped_4k": told.faults - 32}


def test_an_access_to_a_device_is_a_fault_whose_outcome_is_mmio(session: Session) -> None:
    told, shown = both(session, "device")
    # The read-only memory is read 40 times and written twice, the device read and written once.
    assert shown.words == {
        **_own(told.read - 40),
        READ: told.read - WALKS + 1,
        WRITE_OF_MMIO: 1,
        WRITE_OF_PROTECTED: 2,
    }
    # The first access to a device only notes that it is one, which no tracepoint attached tells.
    assert shown.outcomes == {"mapped_4k": told.faults, "mmio": 1}
    assert shown.exits == []


def test_a_memslot_lost_and_back_makes_all_of_the_vm_fault_anew(session: Session) -> None:
    told, shown = both(session, "memslot lost")
    assert shown.words == {WRITE: 40, READ: told.read - 2 * WALKS, FETCH: 2, WALK: 2 * WALKS}
    assert shown.outcomes == {"mapped_4k": told.faults}


def _require(session: Session, guest: str) -> None:
    refused = session.accounts[guest].refused
    if refused:
        assert "no guest_memfd that the host can map" in refused
        pytest.skip(f"{session.kernel.release} has no memory-fault exits that a stock VM raises")


def _assert_addresses_are_those_touched(session: Session, guest: str) -> None:
    told, shown = both(session, guest)
    addresses = sorted(int(item["syndrome"]["words"]["address"], 16) for item in shown.exits)
    assert addresses == sorted(item["touched"] for item in told.exits)
