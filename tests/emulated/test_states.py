# SPDX-License-Identifier: Apache-2.0
"""What the collector says, and does, where a host lacks something, and when KVM comes and goes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.emulated.matrix import X86_STATES, provide
from tests.emulated.session import Account, Stage, account, attempt

pytestmark = pytest.mark.emulated

GUEST = ("demo", "run", "--write", "1009", "--read", "503")


@dataclass(frozen=True, slots=True)
class Seen:
    """The doctor's status and findings by name; the host in the status; a guest."""

    doctor: int
    findings: dict[str, dict[str, Any]]
    host: dict[str, Any] | None = None
    guest: Account | None = None


Story = Callable[[Stage], dict[str, Seen]]


def _seen(stage: Stage, *prefix: str, state: str = "", detail: str = "", guest: bool = False) -> Seen:
    """Look at everything, once the status shows the host in this state, with this in its detail.

    :param prefix: the command and its arguments under which the doctor runs
    """
    machine = stage.machine
    answer = machine.run(
        *prefix, machine.platform.python, "-m", "collector", "doctor", "--json", "--no-attach"
    )
    findings = {finding["name"]: finding for finding in json.loads(answer.output)}
    host = stage.until_state(state, detail) if state else None
    ran = account(stage, machine.python(*GUEST).output) if guest else None
    return Seen(answer.status, findings, host, ran)


def _coming_and_going(stage: Stage) -> dict[str, Seen]:
    machine = stage.machine
    seen = {}
    collector = stage.start_collector()
    seen["no KVM"] = _seen(stage, state="waiting", detail="KVM is not loaded")
    *common, vendor = machine.kvm_modules()
    machine.insert(*common)
    seen["no vendor's module"] = _seen(stage, state="waiting", detail="no vendor's module")
    machine.insert(vendor)
    seen["loaded"] = _seen(stage, state="attached", guest=True)
    machine.remove(vendor)
    seen["vendor's module gone"] = _seen(stage, state="waiting", detail="no vendor's module")
    machine.remove(*reversed(common))
    seen["KVM gone"] = _seen(stage, state="waiting", detail="KVM is not loaded")
    machine.load_kvm("npt=0")
    seen["loaded again"] = _seen(stage, state="attached", guest=True)
    machine.stop(collector)
    return seen


def _things_missing(stage: Stage) -> dict[str, Seen]:
    machine = stage.machine
    machine.load_kvm()
    powerless = ("setpriv", "--bounding-set=-all")
    collector = stage.start_collector(prefix=powerless)
    seen = {"no capabilities": _seen(stage, *powerless, state="waiting", detail="BPF and PERFMON not held")}
    machine.stop(collector)
    machine.busybox("umount", "/sys/kernel/tracing")
    machine.busybox("mount", "-t", "tmpfs", "hidden", "/sys/kernel/btf")
    collector = stage.start_collector()
    seen["no BTF"] = _seen(stage, state="waiting", detail="btf")
    machine.busybox("umount", "/sys/kernel/btf")
    seen["no tracefs"] = _seen(stage, state="attached", guest=True)
    machine.stop(collector)
    stage.until_state("stopped")
    machine.busybox("mount", "-t", "tracefs", "-o", "ro", "tracefs", "/sys/kernel/tracing")
    collector = stage.start_collector()
    seen["read-only tracefs"] = _seen(stage, state="attached", guest=True)
    machine.stop(collector)
    return seen


def _locked_down(stage: Stage) -> dict[str, Seen]:
    stage.machine.load_kvm()
    collector = stage.start_collector()
    seen = {"locked down": _seen(stage, state="waiting", detail="lockdown")}
    stage.machine.stop(collector)
    return seen


def _tell(story: Story, kernels: Path, folder: Path, *kernel_options: str) -> dict[str, Seen]:
    platform, kernel = provide(X86_STATES, kernels)

    def act(place: Path, repeated: tuple[str, ...]) -> dict[str, Seen]:
        with Stage(platform, kernel, place, kernel_options) as stage:
            return story(stage)

    return attempt(act, folder)


@pytest.fixture(scope="module")
def coming_and_going(kernels_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """KVM's modules are loaded, unloaded and loaded otherwise, while one collector runs."""
    return _tell(_coming_and_going, kernels_folder, tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="module")
def missing(kernels_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """One thing after the other is not there."""
    return _tell(_things_missing, kernels_folder, tmp_path_factory.mktemp("missing"))


@pytest.fixture(scope="module")
def locked_down(kernels_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """The kernel lets nobody read its memory."""
    return _tell(
        _locked_down, kernels_folder, tmp_path_factory.mktemp("lockdown"), "lockdown=confidentiality"
    )


def test_without_kvm_the_collector_waits(coming_and_going: dict[str, Seen]) -> None:
    for when in ("no KVM", "KVM gone"):
        assert coming_and_going[when].doctor == 11
        assert coming_and_going[when].findings["kvm"]["remedy"] == "modprobe kvm_intel or kvm_amd"


def test_without_a_vendors_module_the_collector_waits(coming_and_going: dict[str, Seen]) -> None:
    for when in ("no vendor's module", "vendor's module gone"):
        assert coming_and_going[when].doctor == 18


@pytest.mark.parametrize(("when", "flavour"), [("loaded", "svm"), ("loaded again", "svm-shadow")])
def test_when_kvm_is_there_it_attaches_by_itself_and_counts_exactly(
    coming_and_going: dict[str, Seen], when: str, flavour: str
) -> None:
    seen = coming_and_going[when]
    assert seen.doctor == 0
    assert seen.host is not None
    assert seen.host["flavour"] == flavour
    _assert_counted_exactly(seen)


def test_without_tracefs_it_counts_as_exactly(missing: dict[str, Seen]) -> None:
    assert missing["no tracefs"].doctor == 0
    assert missing["no tracefs"].findings["tracefs"]["found"].startswith("not mounted; not needed")
    _assert_counted_exactly(missing["no tracefs"])


def test_with_tracefs_read_only_it_counts_as_exactly(missing: dict[str, Seen]) -> None:
    assert missing["read-only tracefs"].doctor == 0
    assert missing["read-only tracefs"].findings["tracefs"]["found"] == "mounted"
    _assert_counted_exactly(missing["read-only tracefs"])


def test_without_btf_the_collector_waits(missing: dict[str, Seen]) -> None:
    assert missing["no BTF"].doctor == 12


def test_without_capabilities_the_collector_waits_and_the_doctor_names_them(missing: dict[str, Seen]) -> None:
    assert missing["no capabilities"].doctor == 15
    assert missing["no capabilities"].findings["capabilities"]["found"] == "BPF and PERFMON not held"


def test_in_a_kernel_that_lets_nobody_read_its_memory_the_collector_waits(
    locked_down: dict[str, Seen],
) -> None:
    assert locked_down["locked down"].doctor == 14
    assert locked_down["locked down"].findings["lockdown"]["remedy"] == "boot with lockdown=integrity"


def _assert_counted_exactly(seen: Seen) -> None:
    assert seen.guest is not None
    assert seen.guest.truth is not None
    assert seen.guest.shown is not None
    assert seen.guest.shown.vm["faults"] == seen.guest.truth.faults
    assert seen.guest.shown.ledger["balanced"]
