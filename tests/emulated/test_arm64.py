# SPDX-License-Identifier: Apache-2.0
"""The collector on stock arm64 kernels: counts, syndromes and addresses are what the guests did, one by one.

The guests' data accesses are of one byte and of register w5, as ESR_EL2 shows.
"""

from collections import Counter
from pathlib import Path

import pytest

from collector.counting.livelocks import LEAST_RETRIED
from demo.handler_cases import DELAYS_S
from tests.emulated.guests import both
from tests.emulated.livelocks import Seen, endless_fault
from tests.emulated.log import steps_of
from tests.emulated.matrix import ARM64, parameters
from tests.emulated.report import traced
from tests.emulated.session import Session, Shown
from tests.kernel.guests import Truth

pytestmark = pytest.mark.emulated

# ESR_EL2 without the level of the fault, its lowest two bits.
WRITE, READ, FETCH = 0x93050044, 0x93050004, 0x82000004
WRITE_OF_PROTECTED = 0x9305004C
LEVEL = 0x3
PAGE = 4096

# Of its own pages each guest takes one fault: the fetch of its code.
GUESTS = {
    "touches": ("demo", "run", "--write", "1000", "--read", "701", "--execute", "303", "--vcpus", "2"),
    # So few on each vCPU that none is taken back: before Linux 6.6 each page takes an invalidation then, for
    # which all emulated processors have to have their turn.
    "many": ("demo", "run", "--write", "20011", "--vcpus", "5"),
    "bare errors": ("demo", "run", "--write", "100", "--bare-error", "13"),
    "memory faults": ("demo", "run", "--read", "5", "--memory-fault", "7"),
    "dirty log": ("tests.emulated.act", "DirtyLog", "40"),
    "copy on write": ("tests.emulated.act", "CopyOnWrite", "40"),
    "huge pages": ("tests.emulated.act", "HugePages", "40"),
    "device": ("tests.emulated.act", "Device", "40"),
    "memslot lost": ("tests.emulated.act", "Hotplug", "40"),
    "late handler": ("tests.emulated.act", "SlowHandler", str(len(DELAYS_S))),
}
TRACEPOINTS = frozenset(
    {
        "kvm:kvm_guest_fault",
        "kvm:kvm_access_fault",
        "kvm:kvm_mmio",
        "kvm:kvm_entry",
        "kvm:kvm_userspace_exit",
        "sched:sched_switch",
    }
)
NOT_IN_6_1 = frozenset({"kvm:kvm_mmio_nisv", "kvm:kvm_inject_nested_exception"})


@pytest.fixture(scope="module", params=parameters(ARM64))
def session(
    request: pytest.FixtureRequest, kernels_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Session:
    """One boot, on which all the guests have run."""
    folder = tmp_path_factory.mktemp("arm64")
    return traced(request.config, request.param, kernels_folder, folder, GUESTS, afterwards=endless_fault)


def _kinds(shown: Shown) -> dict[int, int]:
    """Counts by syndrome without the level."""
    kinds = Counter[int]()
    for word, count in shown.words.items():
        kinds[word & ~LEVEL] += count
    return dict(kinds)


def test_the_collector_attaches_pins_and_ends_in_order(session: Session) -> None:
    assert session.status["kernel"] == session.kernel.release
    assert session.status["lost"] == {}
    expected = TRACEPOINTS | (NOT_IN_6_1 if session.kernel.version > (6, 1) else frozenset())
    assert {probe["tracepoint"]: probe["state"] for probe in session.status["probes"]} == dict.fromkeys(
        expected, "attached"
    )
    checks = {check["name"]: check["state"] for check in session.status["checks"]}
    assert (checks["ends"], checks["pins"], checks["memslots"]) == ("ok", "ok", "ok")
    assert "kvm_counts" not in checks, "KVM has none there"
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
def test_every_touch_is_a_translation_fault_of_its_kind(session: Session, guest: str) -> None:
    truth, shown = both(session, guest)
    expected = {WRITE: truth.write, READ: truth.read, FETCH: truth.execute}
    assert _kinds(shown) == {kind: count for kind, count in expected.items() if count}
    assert shown.vm["faults"] == truth.faults
    assert shown.vcpus == truth.by_vcpu


def test_words_are_decoded(session: Session) -> None:
    truth, shown = both(session, "touches")
    levels = {name: count for name, count in shown.flags.items() if name.startswith("level_")}
    assert sum(levels.values()) == truth.faults
    assert {name: count for name, count in shown.flags.items() if name not in levels} == {
        "read": truth.read,
        "write": truth.write,
        "execute": truth.execute,
        "data_abort": truth.read + truth.write,
        "instruction_abort": truth.execute,
        "isv": truth.read + truth.write,
        "wnr": truth.write,
        "translation": truth.faults,
        "il": truth.faults,
    }


def test_every_fault_is_recorded_with_its_address(session: Session) -> None:
    _, shown = both(session, "touches")
    pages = Counter((fault["vcpu"], fault["access"], int(fault["gpa"], 16)) for fault in shown.faults)
    assert set(pages.values()) == {1}
    # The guest's regions begin at 16 MiB, with vCPU 0's data.
    writes = sorted(gpa for vcpu, access, gpa in pages if (vcpu, access) == (0, "write"))
    reads = sorted(gpa for vcpu, access, gpa in pages if (vcpu, access) == (0, "read"))
    assert writes == [0x1000000 + number * PAGE for number in range(500)]
    assert reads == writes[:351]
    fetches = sorted(gpa for vcpu, access, gpa in pages if (vcpu, access) == (0, "execute"))
    # It first runs to read its own pages, and the instruction for that is the third of its code.
    assert fetches[0] == 8
    assert fetches[1:] == [fetches[1] + number * PAGE for number in range(152)]


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
    faults, failed = shown.vm["faults"], len(truth.exits)
    # The device is read and written, and the read-only memory written twice: all is left to the VMM.
    emulated = 4 if guest == "device" else 0
    # A page that is copied on write is tried again: also those of the handler, which provides the page of
    # zeros, and these as long as the other vCPU's page is being copied. Before 6.10 KVM mapped the copy at
    # once, for reading: of a page that was there before, the second fault is then the same as the first.
    again = 0
    if guest == "copy on write" and session.kernel.version < (6, 10):
        again = 20
    elif guest == "late handler":
        again = faults - truth.faults if session.kernel.version >= (6, 10) else shown.ended.get("retried", 0)
    ended = Counter(resumed=faults - failed - emulated - again, exit=failed, mmio=emulated, retried=again)
    assert Counter(shown.ended) == +ended
    assert all(item["derived"] for item in shown.stalls["items"])
    assert shown.stalls["ledger"] == [
        {"vm": shown.vm["id"], "faults": faults, "ended": faults, "stalled": faults, "uncounted": 0}
    ]


def test_a_stall_is_measured_from_the_fault_to_the_entry_and_holds_the_time_of_a_late_handler(
    session: Session,
) -> None:
    _, shown = both(session, "late handler")
    assert shown.ended.keys() <= {"resumed", "retried"}
    assert [(item["begins"], item["ends"], item["blocked"]) for item in shown.stalls["measured_by"]] == [
        ("kvm_guest_fault", "kvm_entry", True)
    ]
    assert shown.stalls["total"]["timed"] == shown.vm["faults"]
    assert {vcpu["vcpu"] for vcpu in shown.stalls["vcpus"] if vcpu["blocked_s"] >= sum(DELAYS_S)} == {0, 1}


def test_a_bare_error_is_a_fault_and_an_exit_without_address(session: Session) -> None:
    truth, shown = both(session, "bare errors")
    assert _kinds(shown) == {WRITE: 100 + 13, FETCH: 1}
    assert {(item["kind"], item["reason"], item["errno"], item["gpa"]) for item in shown.exits} == {
        ("bare_error", 0, 14, None)
    }
    _assert_syndromes(truth, shown)


def test_a_memory_fault_exit_is_a_fault_and_an_exit_with_its_address(session: Session) -> None:
    truth, shown = both(session, "memory faults")
    assert _kinds(shown) == {WRITE: 7, READ: 5, FETCH: 1}
    assert sorted(int(item["gpa"], 16) for item in shown.exits) == sorted(item["gpa"] for item in truth.exits)
    assert {
        (item["kind"], item["reason"], item["errno"], item["size"], item["flags_raw"]) for item in shown.exits
    } == {("memory_fault", 39, 14, PAGE, "0x0")}
    _assert_syndromes(truth, shown)


def test_a_fault_that_kvm_never_ends_is_a_livelock(session: Session) -> None:
    found: Seen | None = session.after
    if found is None:
        pytest.skip("KVM of Linux 6.18 alone has such a fault")
    # The guest's page is where its region begins: it may not be executed, and stays so.
    assert {name: found.lasting[name] for name in ("vcpu", "gpa", "gva", "pc", "syndrome", "until")} == {
        "vcpu": 0,
        "gpa": "0x1000000",
        "gva": None,
        "pc": "0x1000000",
        "syndrome": "0x8200000f",
        "until": None,
    }
    assert found.lasting["invalidating"] is False
    assert found.over["faults"] > LEAST_RETRIED


def _assert_syndromes(truth: Truth, shown: Shown) -> None:
    """Each exit has the hardware's words of the fault that led to it."""
    words = [item["syndrome"] for item in shown.exits]
    assert {int(word["word"], 16) & ~LEVEL for word in words} == {WRITE}
    assert sorted(int(word["words"]["ipa"], 16) for word in words) == sorted(
        item["touched"] for item in truth.exits
    )
    assert all(word["words"]["far"] == word["words"]["ipa"] for word in words)


def test_a_write_to_a_page_whose_log_is_on_is_a_permission_fault(session: Session) -> None:
    _, shown = both(session, "dirty log")
    assert _kinds(shown) == {WRITE: 2048, WRITE_OF_PROTECTED: 40, FETCH: 1}
    assert shown.flags["permission"] == 40


def test_a_page_copied_on_write_faults_for_its_protection_and_once_more(session: Session) -> None:
    _, shown = both(session, "copy on write")
    kinds = _kinds(shown)
    # Before 6.10 KVM mapped the copy at once, for reading, and the second fault was one of protection too.
    second = WRITE if session.kernel.version >= (6, 10) else WRITE_OF_PROTECTED
    assert kinds == Counter({READ: 20, WRITE_OF_PROTECTED: 20, FETCH: 1}) + Counter({second: 20})


def test_a_huge_page_is_one_fault_at_level_2(session: Session) -> None:
    _, shown = both(session, "huge pages")
    assert _kinds(shown) == {WRITE: 32, FETCH: 1}
    assert {word & LEVEL: count for word, count in shown.words.items() if word & ~LEVEL == WRITE} == {2: 32}


def test_an_access_to_a_device_or_a_write_to_read_only_memory_is_a_fault(session: Session) -> None:
    _, shown = both(session, "device")
    # The memory is read 40 times and written twice, the device read and written once.
    assert _kinds(shown) == {READ: 41, WRITE: 1, WRITE_OF_PROTECTED: 2, FETCH: 1}
    assert shown.exits == []


def test_a_memslot_lost_and_back_faults_in_its_pages_alone(session: Session) -> None:
    truth, shown = both(session, "memslot lost")
    assert shown.vm["faults"] == truth.faults
    assert _kinds(shown) == {WRITE: 40, FETCH: 1}
