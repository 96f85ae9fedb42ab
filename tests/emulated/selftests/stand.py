# SPDX-License-Identifier: Apache-2.0
"""A stock kernel that has booted, with the collector attached, in which one program runs after another."""

import json
import logging
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.emulated.kernels import Kernel
from tests.emulated.machine import EmulatorError
from tests.emulated.platforms import Platform
from tests.emulated.selftests.counted import Counted, Shown, by_kernel
from tests.emulated.selftests.programs import Program
from tests.emulated.session import ATTEMPTS, Stage, all_of

_PROGRAMS = "/tmp/selftests"
_BESIDE_S = 120.0  # for the machine to start Python and to read its histograms
_SHOWN_S = 300.0
_ATTACHED_S = 1800.0  # on a busy machine compiling alone takes minutes
_SKIPPED = 4  # KSFT_SKIP, tools/testing/selftests/kselftest.h

_ASSERTION = re.compile(r"\S+\.[ch]:\d+: ")  # kvm/lib/assert.c, test_assert()

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that went to its end. ``refused`` is why this kernel cannot run the program, by its own words.

    ``status`` is the program's, None where it was ended; ``lost`` what the host lost in it.
    """

    status: int | None
    said: str
    refused: str
    kernel: Counted
    shown: Counted
    vms: int
    balanced: bool
    lost: dict[str, int]


class Stand:
    """Boots when first needed, and anew where the emulated machine fails. A context manager."""

    def __init__(
        self,
        platform: Platform,
        kernel: Kernel,
        programs: Path,
        kvm_parameters: tuple[str, ...],
        folder: Path,
    ) -> None:
        """Prepare.

        :param programs: the folder with those of the platform
        :param kvm_parameters: of the vendor's KVM module
        :param folder: empty; for all that the machines leave
        """
        self.kernel = kernel
        self.flavour = ""
        self._platform = platform
        self._programs = programs
        self._kvm_parameters = kvm_parameters
        self._folder = folder
        self._boots = 0
        self._stage: Stage | None = None
        self._known: set[str] = set()
        self._lost: dict[str, int] = {}

    def __enter__(self) -> "Stand":
        return self

    def __exit__(self, *_: object) -> None:
        self._switch_off()

    def run(self, program: Program) -> Outcome:
        """Run a program to its end. Only where the machine itself fails is it run again, in a new one.

        :raises EmulatorError: the machine failed each time
        :raises AssertionError: what was counted is not shown in time
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._run(self._stage or self._boot(), program)
            except EmulatorError as error:
                logger.warning("machine failed program=%s error=%s", program.title, error)
                self._switch_off()
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _boot(self) -> Stage:
        self._boots += 1
        folder = self._folder / f"boot-{self._boots}"
        folder.mkdir(parents=True)
        stage = Stage(self._platform, self.kernel, folder)
        self._known = set()
        self._lost = {}
        try:
            self._make_ready(stage)
        except BaseException:
            stage.__exit__()
            raise
        self._stage = stage
        return stage

    def _make_ready(self, stage: Stage) -> None:
        shutil.copytree(self._programs, stage.machine.job / "selftests")
        # Programs cannot be mapped from where they are shared.
        stage.machine.busybox("cp", "-r", "/job/selftests", _PROGRAMS)
        stage.machine.busybox("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
        stage.machine.load_kvm(*self._kvm_parameters)
        stage.start_collector()
        self.flavour = stage.until_state("attached", seconds=_ATTACHED_S)["flavour"]

    def _switch_off(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.__exit__()

    def _run(self, stage: Stage, program: Program) -> Outcome:
        stage.machine.busybox("sysctl", "-w", f"vm.nr_hugepages={program.huge_pages}")
        answer = stage.machine.run(
            stage.machine.platform.python,
            *("-m", "tests.emulated.selftests.witness"),
            *(str(program.seconds), f"{_PROGRAMS}/{program.name}", *program.arguments),
            seconds=program.seconds + _BESIDE_S,
        )
        assert answer.status == 0, answer.error
        witnessed = json.loads(answer.output)
        vms = stage.until(lambda: self._ended(stage, witnessed["ended"]), _SHOWN_S, "all of it is shown")
        shown = Shown()
        product = stage.product
        for item in vms:
            page = f"vms/{item['id']}"
            shown.add(
                product.get(page),
                product.get(f"{page}/syndromes")["items"],
                product.get(f"{page}/flags")["outcomes"],
                all_of(product, "exits", vm=item["id"]),
                product.get("ledger", vm=item["id"])["vms"][0],
            )
        self._known |= {item["id"] for item in vms}
        host = stage.host()
        assert host is not None
        lost = {kind: count - self._lost.get(kind, 0) for kind, count in host["lost"].items()}
        self._lost = host["lost"]
        shown.counted.unrecorded = lost.get("exit_records", 0)
        return Outcome(
            status=witnessed["status"],
            said=witnessed["said"],
            refused=why_not(witnessed["said"]) if _is_refused(witnessed, shown.counted) else "",
            kernel=by_kernel(witnessed),
            shown=shown.counted,
            vms=shown.vms,
            balanced=shown.balanced,
            lost={kind: count for kind, count in lost.items() if count},
        )

    def _ended(self, stage: Stage, ended: float) -> list[dict[str, Any]] | None:
        """The VMs of the run, once the host is known up to its end and all of them have ended."""
        host = stage.host()
        if host is None or datetime.fromisoformat(host["covered_to"]) < datetime.fromtimestamp(ended, UTC):
            return None
        # Asked for after the host: what it covers by then is in them.
        vms = [vm for vm in all_of(stage.product, "vms") if vm["id"] not in self._known]
        return vms if all(vm["ended_at"] for vm in vms) else None


def _is_refused(witnessed: dict[str, Any], shown: Counted) -> bool:
    """Whether the program skipped itself, or failed before it ran a guest."""
    return witnessed["status"] == _SKIPPED or (bool(witnessed["status"]) and not shown.exits)


def why_not(said: str) -> str:
    """Return by what a program says why a kernel cannot run it: what it skips, or what it had assumed."""
    lines = [line.strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Random seed")]
    reasons = [line for line in lines if "SKIP" in line or _ASSERTION.match(line)]
    return [*reasons, *lines, "it does not say why"][0]
