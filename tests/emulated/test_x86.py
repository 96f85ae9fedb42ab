# SPDX-License-Identifier: Apache-2.0
"""The collector on stock x86_64 kernels with SVM: every fault is what the guests did, word by word."""

from collections import Counter
from pathlib import Path

import pytest

from collector.counting.livelocks import LEAST_RETRIED
from demo.handler_cases import DELAYS_S
from faultmodel.record import EHWPOISON
from tests.emulated.guests import both
from tests.emulated.livelocks import Beside, held_page
from tests.emulated.log import steps_of
from tests.emulated.matrix import X86, Row, parameters
from tests.emulated.paging import NESTED, SHADOW, Paging
from tests.emulated.report import traced
from tests.emulated.session import DATA_DIR, Session, Shown
from tests.kernel.guests import Truth

pytestmark = pytest.mark.emulated

PAGE = 4096

GUESTS = {
    "touches": ("demo", "run", "--write", "1000", "--read", "701", "--execute", "303", "--vcpus", "2"),
    "many": ("demo", "run", "--write", "20011"),
    "bare errors": ("tests.emulated.act", "BareError", "39"),
    "memory faults": ("tests.emulated.act", "MemoryFault", "40"),
    "poisoned": ("tests.emulated.act", "Poisoned", "3"),
    "guest_memfd": ("tests.emulated.act", "GuestMemfd", "40"),
    "dirty log": ("tests.emulated.act", "DirtyLog", "40"),
    "copy on write": ("tests.emulated.act", "CopyOnWrite", "40"),
    "huge pages": ("tests.emulated.act", "HugePages", "32"),
    "device": ("tests.emulated.act", "Device", "40"),
    "memslot lost": ("tests.emulated.act", "Hotplug", "40"),
    "late handler": ("tests.emulated.act", "SlowHandler", str(len(DELAYS_S))),
}
MODULES = {"shed": ("tests.emulated.shed", DATA_DIR)}


@pytest.fixture(scope="module", params=parameters(X86))
def row(request: pytest.FixtureRequest) -> Row:
    """Kernel after kernel."""
    found: Row = request.param
    return found


@pytest.fixture(scope="module")
def session(
    row: Row, pytestconfig: pytest.Config, kernels_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Session:
    """One boot, on which all the guests have run."""
    folder = tmp_path_factory.mktemp("x86")
    # It takes longer than all the others together, and so has no place in every test run.
    afterwards = None if pytestconfig.getoption("markexpr") == "quick" else held_page
    return traced(pytestconfig, row, kernels_folder, folder, GUESTS, MODULES, afterwards)


@pytest.fixture(scope="module")
def paging(row: Row) -> Paging:
    """The kind of paging that KVM was set to use."""
    return SHADOW if "npt=0" in row.kvm_parameters else NESTED


def test_the_collector_attaches_to_every_tracepoint_pins_and_ends_in_order(
    session: Session, paging: Paging
) -> None:
    assert session.status["kernel"] == session.kernel.release
    assert session.status["flavour"] == paging.flavour
    assert session.status["lost"] == {}
    assert {probe["tracepoint"]: probe["state"] for probe in session.status["probes"]} == {
        "kvm:kvm_page_fault": "attached",
        "kvmmmu:kvm_mmu_spte_requested": "attached",
        "kvmmmu:fast_page_fault": "attached",
        "kvmmmu:handle_mmio_page_fault": "attached",
        "kvm:kvm_entry": "attached",
        "sched:sched_switch": "attached",
        "kvm:kvm_userspace_exit": "attached",
    }
    checks = {check["name"]: check["state"] for check in session.status["checks"]}
    assert (checks["ends"], checks["pins"]) == ("ok", "ok")
    assert (checks["memslots"], checks["kvm_counts"]) == ("ok", "ok")
    assert session.collector_status == 0


def test_the_doctor_finds_nothing_missing(session: Session) -> None:
    examined = {
        "kvm",
        "flavour",
        "btf",
        "lockdown",
        "tracefs",
        "capabilities",
        "pins",
        "kvm:kvm_userspace_exit",
    }
    assert examined <= session.doctor.keys()
    assert {name: found["state"] for name, found in session.doctor.items() if found["state"] != "ok"} == {}


def test_compiler_and_collector_have_nothing_to_say_but_that_it_attached(session: Session) -> None:
    assert steps_of(session.collector_log) == ["starting", "compiling", "attached"]


@pytest.mark.parametrize("guest", ["touches", "many"])
def test_every_touch_is_a_fault_of_its_kind_that_is_mapped(
    session: Session, paging: Paging, guest: str
) -> None:
    truth, shown = both(session, guest)
    assert shown.words == paging.counts(truth.read, write=truth.write, fetch=truth.execute)
    assert shown.formats == {paging.format}
    assert shown.outcomes == {"mapped_4k": truth.faults}
    assert shown.vcpus == truth.by_vcpu


def test_words_are_decoded(session: Session, paging: Paging) -> None:
    truth, shown = both(session, "touches")
    of_nested = {"guest_final": truth.faults - paging.walks, "guest_page": paging.walks}
    # Nested paging looks everything up as a user's access; without it the bit is the guest's own.
    assert shown.flags == {
        "npt_user" if paging is NESTED else "user": truth.faults,
        "read": truth.read - paging.walks,
        "write": truth.write + paging.walks,
        "execute": truth.execute,
        "fetch": truth.execute,
        **(of_nested if paging is NESTED else {}),
    }


def test_every_fault_is_recorded_with_its_address_and_instruction(session: Session, paging: Paging) -> None:
    _, shown = both(session, "touches")
    touched = Counter(
        (fault["vcpu"], fault["access"], int(fault["syndrome"]["words"]["address"], 16))
        for fault in shown.faults
        if "guest_page" not in fault["flags"]
    )
    assert set(touched.values()) == {1}
    # The guest's regions begin at 16 MiB, with vCPU 0's data. It maps its memory to itself.
    writes = sorted(address for vcpu, access, address in touched if (vcpu, access) == (0, "write"))
    reads = sorted(address for vcpu, access, address in touched if (vcpu, access) == (0, "read"))
    assert writes == [0x1000000 + number * PAGE for number in range(500)]
    assert [address for address in reads if address >= writes[0]] == writes[:351]
    fetches = [fault["syndrome"]["words"] for fault in shown.faults if fault["access"] == "execute"]
    assert all(words["rip"] == words["address"] for words in fetches)


@pytest.mark.parametrize("guest", GUESTS)
def test_the_ledger_accounts_for_every_fault(session: Session, guest: str) -> None:
    _, shown = both(session, guest)
    faults = shown.vm["faults"]
    assert shown.ledger["balanced"]
    assert {name: shown.ledger[name]["total"] for name in ("seen", "counted", "recorded")} == {
        "seen": faults,
        "counted": faults,
        "recorded": faults,
    }
    assert len(shown.faults) == faults == sum(shown.words.values())


@pytest.mark.parametrize("guest", GUESTS)
def test_every_fault_ends_where_the_guest_goes_on_or_is_left(session: Session, guest: str) -> None:
    truth, shown = both(session, guest)
    faults, late = shown.vm["faults"], 2 * len(DELAYS_S)
    failed = {"exit": len(truth.exits)} if truth.exits else {}
    # Of these no event of the kernel's shows the outcome.
    others = {
        # KVM copies the page, and lets the guest try again.
        "copy on write": {"resumed": 20},
        # The device is read and written, and the read-only memory written twice: all is left to the VMM.
        "device": {"mmio": 4},
        # So here, as the handler provides the page of zeros; and again while the other vCPU's page is copied.
        "late handler": Counter(resumed=late, retried=faults - truth.faults - late),
    }.get(guest, {})
    of_events = {name: count for name, count in shown.outcomes.items() if name != "mmio"}
    assert Counter(shown.ended) == Counter(of_events) + Counter(failed) + Counter(others)
    assert shown.stalls["ledger"] == [
        {"vm": shown.vm["id"], "faults": faults, "ended": faults, "stalled": faults, "uncounted": 0}
    ]


def test_a_stall_is_measured_from_the_fault_to_the_entry_and_holds_the_time_of_a_late_handler(
    session: Session,
) -> None:
    _, shown = both(session, "late handler")
    assert [(item["begins"], item["ends"], item["blocked"]) for item in shown.stalls["measured_by"]] == [
        ("kvm_page_fault", "kvm_entry", True)
    ]
    assert shown.stalls["total"]["timed"] == shown.vm["faults"]
    assert {vcpu["vcpu"] for vcpu in shown.stalls["vcpus"] if vcpu["blocked_s"] >= sum(DELAYS_S)} == {0, 1}


def test_while_the_hook_on_entries_is_shed_each_fault_ends_once_and_lasts_until_it_is_mapped(
    session: Session,
) -> None:
    parts = session.counted["shed"]
    for part in parts.values():
        ended = sum(part["timed"].values()) + sum(part["untimed"].values())
        assert (ended, part["lost"]) == (part["faults"], {})
        assert part["slept_ns"] >= part["late_ns"]
    attached, shed, restored = (parts[name] for name in ("attached", "shed", "restored"))
    assert attached["untimed"] == restored["untimed"] == {}
    # The first, before which each entry was seen, and the one that no event shows the end of.
    assert shed["untimed"] == {"mapped_4k": 1, "resumed": 1}
    assert {*shed["timed"]} == {"mapped_4k"}
    assert shed["faults"] == attached["faults"] == restored["faults"]


def test_a_bare_error_is_a_fault_without_outcome_and_an_exit_without_address(
    session: Session, paging: Paging
) -> None:
    truth, shown = both(session, "bare errors")
    assert shown.words == paging.counts(truth.read, write=13, fetch=1 + 13)
    assert shown.outcomes == {"mapped_4k": truth.mapped}
    assert shown.vm["bare_error_exits"] == len(truth.exits) == 39
    assert {(item["kind"], item["reason"], item["errno"], item["gpa"]) for item in shown.exits} == {
        ("bare_error", 0, 14, None)
    }
    _assert_syndromes(truth, shown, {paging.word(0x4): 13, paging.word(0x6): 13, paging.word(0x14): 13})


def test_a_memory_fault_exit_is_a_fault_and_an_exit_with_its_address(
    session: Session, paging: Paging
) -> None:
    truth, shown = both(session, "memory faults")
    assert shown.words == paging.counts(truth.read, write=20, fetch=1 + 10)
    assert shown.outcomes == {"mapped_4k": truth.mapped}
    assert shown.vm["memory_fault_exits"] == len(truth.exits) == 40
    assert sorted(int(item["gpa"], 16) for item in shown.exits) == sorted(item["gpa"] for item in truth.exits)
    assert Counter(item["vcpu"] for item in shown.exits) == {0: 20, 1: 20}
    assert {
        (item["kind"], item["reason"], item["errno"], item["size"], item["flags_raw"]) for item in shown.exits
    } == {("memory_fault", 39, 14, PAGE, "0x0")}
    assert {item["cause"] for item in shown.exits} == {"guest_memfd_failed"}
    _assert_syndromes(truth, shown, {paging.word(0x4): 10, paging.word(0x6): 20, paging.word(0x14): 10})


def test_of_damaged_memory_it_is_said_that_it_is_the_cause(session: Session, paging: Paging) -> None:
    truth, shown = both(session, "poisoned")
    assert sorted(int(item["gpa"], 16) for item in shown.exits) == sorted(item["gpa"] for item in truth.exits)
    assert [(item["kind"], item["reason"], item["errno"], item["cause"]) for item in shown.exits] == [
        ("memory_fault", 39, EHWPOISON, "hwpoison")
    ] * 3
    _assert_syndromes(truth, shown, dict.fromkeys(map(paging.word, (0x4, 0x6, 0x14)), 1))


def test_memory_of_a_guest_memfd_is_mapped_as_any_other(session: Session, paging: Paging) -> None:
    truth, shown = both(session, "guest_memfd")
    assert shown.words == paging.counts(truth.read, write=40)
    assert shown.outcomes == {"mapped_4k": truth.faults}
    assert shown.exits == []


def test_a_write_to_a_page_whose_log_is_on_is_a_fault_of_its_protection(
    session: Session, paging: Paging
) -> None:
    truth, shown = both(session, "dirty log")
    assert shown.words == paging.counts(truth.read, write=2048, protected=40)
    # With nested paging it is put right without the lock.
    put_right = (
        {"mapped_4k": truth.faults - 40, "fast": 40} if paging is NESTED else {"mapped_4k": truth.faults}
    )
    assert shown.outcomes == put_right
    assert shown.flags["dirty_logging"] == 40


def test_a_page_copied_on_write_faults_for_its_protection_and_anew(session: Session, paging: Paging) -> None:
    truth, shown = both(session, "copy on write")
    assert shown.words == paging.counts(truth.read, write=20, protected=20)
    # The first of the two is only retried.
    assert shown.outcomes == {"mapped_4k": truth.faults}


def test_a_huge_page_is_one_fault_mapped_at_its_level(session: Session, paging: Paging) -> None:
    truth, shown = both(session, "huge pages")
    assert shown.words == paging.counts(truth.read, write=32)
    assert shown.outcomes == {"mapped_2m": 32, "mapped_4k": truth.faults - 32}


def test_of_accesses_to_a_device_the_first_has_an_outcome_and_later_ones_have_bit_3(
    session: Session, paging: Paging
) -> None:
    truth, shown = both(session, "device")
    # Beside what it prints it reads a device and writes to it, and writes twice to read-only memory.
    assert shown.words == paging.counts(truth.read + 1, protected=2, mmio_write=1)
    # The read comes first and ends where no memory lies. The vCPU's write then finds what KVM has kept of it.
    assert shown.outcomes == {"mapped_4k": truth.faults, "mmio": 1}
    assert shown.flags["rsvd"] == 1
    assert shown.flags["no_memslot"] == 1
    assert shown.exits == []


def test_a_memslot_lost_and_back_makes_all_of_the_vm_fault_anew(session: Session, paging: Paging) -> None:
    truth, shown = both(session, "memslot lost")
    assert shown.words == paging.counts(truth.read, write=40, fetch=2, warm_ups=2)
    assert shown.outcomes == {"mapped_4k": truth.faults}


@pytest.fixture
def beside(session: Session) -> Beside:
    """What was seen of livelocks."""
    if session.after is None:
        pytest.skip("not in the short run")
    found: Beside = session.after
    return found


def test_a_page_that_the_host_holds_is_a_livelock_until_it_is_let_go(beside: Beside, paging: Paging) -> None:
    lasting, over = beside.seen.lasting, beside.seen.over
    # The guest's page is where its region begins, and its code at 0.
    where = {"gpa": "0x1000000", "gva": None} if paging is NESTED else {"gpa": None, "gva": "0x1000000"}
    assert {name: lasting[name] for name in ("vcpu", "gpa", "gva", "pc", "format", "syndrome", "until")} == {
        "vcpu": 0,
        **where,
        "pc": "0x0",
        "format": paging.format,
        "syndrome": hex(paging.word(0x6)),
        "until": None,
    }
    assert lasting["invalidate_seq"] is not None
    assert lasting["invalidating"] is not None
    assert (over["vcpu"], over["faults"] > LEAST_RETRIED) == (0, True)


def test_a_guest_that_sweeps_and_whose_page_is_logged_is_in_no_livelock(beside: Beside) -> None:
    assert beside.busy.status == 0, beside.busy.error
    # Emulated processors take turns of 0.1 s. One whose turn ends while it takes back the third vCPU's page
    # does hold that vCPU. That it goes on where nothing is emulated is shown in tests/kernel.
    assert {one["vcpu"] for one in beside.of_busy} <= {2}


def _assert_syndromes(truth: Truth, shown: Shown, words: dict[int, int]) -> None:
    """Each exit has the hardware's words of the fault that led to it."""
    found = [item["syndrome"] for item in shown.exits]
    assert Counter(int(syndrome["word"], 16) for syndrome in found) == words
    addresses = sorted(int(syndrome["words"]["address"], 16) for syndrome in found)
    assert addresses == sorted(item["touched"] for item in truth.exits)
