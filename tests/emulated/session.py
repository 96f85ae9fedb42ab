"""One boot: a server on this host, a collector and guests in the machine, and what each of them says."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulated.kernels import Kernel
from tests.emulated.machine import HOST_ADDRESS, Machine, Platform
from tests.kernel.guests import Told, told_by
from tests.product import Product, wait_for

_BOOTS = 2
_BOOT_S = 180.0
_ATTACH_S = 300.0
_GUESTS_S = 300.0
_SHOWN_S = 60.0
_END_S = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the server shows of one guest.

    ``words`` are the counts by syndrome word; ``faults`` and ``exits`` the single ones, newest first.
    """

    vm: dict[str, Any]
    flags: dict[str, int]
    words: dict[int, int]
    vcpus: dict[int, int]
    faults: list[dict[str, Any]]
    exits: list[dict[str, Any]]
    ledger: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Account:
    """A guest by its own account and by the server's; ``refused`` is why this kernel could not run it."""

    told: Told | None
    shown: Shown | None
    refused: str


@dataclass(frozen=True, slots=True)
class Session:
    """All that is known of a boot that went to its end. ``boots`` says how many it took.

    ``doctor``'s findings and ``accounts`` are by name; ``status`` is the host's.
    """

    kernel: Kernel
    boots: int
    doctor: dict[str, dict[str, Any]]
    status: dict[str, Any]
    accounts: dict[str, Account]
    collector_status: int
    collector_log: str


def run_session(
    platform: Platform, kernel: Kernel, folder: Path, guests: Mapping[str, Sequence[str]]
) -> Session:
    """Boot, trace the guests, end.

    Where the emulator fails before anything of ours has run, it is started again.

    :param folder: empty; logs and the server's database stay there
    :param guests: the arguments behind ``python -m`` of each, by a name for it
    :raises AssertionError: something did not come about in time, with what collector and console said last
    """
    product = Product(folder)
    try:
        product.start_server("--allowed-host", HOST_ADDRESS)
        for boot in range(1, _BOOTS + 1):
            job = folder / f"job-{boot}"
            job.mkdir()
            _write_job(product, job, guests)
            with Machine(platform, kernel, job) as machine:
                watch = _Watch(machine, job)
                if watch.has_booted() or boot == _BOOTS:
                    return _trace(product, kernel, watch, tuple(guests), boots=boot)
    finally:
        product.stop()
    raise AssertionError("not reached: the last boot is traced, whatever became of it")


class _Watch:
    """Waits for what happens in a machine, and no longer than the machine runs."""

    def __init__(self, machine: Machine, job: Path) -> None:
        self.machine = machine
        self.job = job

    def has_booted(self) -> bool:
        """Wait until the machine runs what it was started for, or cannot any more."""
        try:
            self.until((self.job / "doctor.json").exists, _BOOT_S, "the machine has booted")
        except AssertionError as error:
            logger.warning("emulator failed to boot error=%s", error)
            return False
        return True

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait.

        :raises AssertionError: with what collector and console said last
        """
        try:
            wait_for(lambda: condition() or not self.machine.is_running or None, seconds, what)
            assert condition(), f"{what}: the machine ended before"
        except AssertionError as error:
            log = self.job / "collector.log"
            said = log.read_text()[-2000:] if log.exists() else "not started"
            console = self.machine.last_words()
            raise AssertionError(f"{error}\ncollector: {said}\nconsole: {console}") from None


def _trace(product: Product, kernel: Kernel, watch: _Watch, guests: Sequence[str], *, boots: int) -> Session:
    job = watch.job
    told = job / "told.jsonl"
    watch.until(lambda: product.status("/readyz") == 200, _ATTACH_S, "the probes are attached")
    (job / "attached").touch()
    watch.until(lambda: _lines(told) == len(guests), _GUESTS_S, "all guests have ended")
    lines = told.read_text().splitlines()
    accounts = {name: _account(product, line) for name, line in zip(guests, lines, strict=True)}
    status = product.get("status")["hosts"][0]
    (job / "seen").touch()
    watch.until((job / "ended").exists, _END_S, "the collector has ended")
    findings = json.loads((job / "doctor.json").read_text())
    return Session(
        kernel=kernel,
        boots=boots,
        doctor={finding["name"]: finding for finding in findings},
        status=status,
        accounts=accounts,
        collector_status=int((job / "ended").read_text()),
        collector_log=(job / "collector.log").read_text(),
    )


def _write_job(product: Product, job: Path, guests: Mapping[str, Sequence[str]]) -> None:
    (job / "token").write_text(product.token.read_text())
    server = f"http://{HOST_ADDRESS}:{product.port}"
    collector = ["--server", server, "--token-file", "/job/token", "--host", product.host]
    collector += ["--records", "all", "--budget", "0"]
    content = {"collector": [*collector, "--data-dir", "/tmp/kvmfaults"], "guests": list(guests.values())}
    (job / "job.json").write_text(json.dumps(content))


def _account(product: Product, line: str) -> Account:
    said = json.loads(line)
    if "refused" in said:
        return Account(None, None, said["refused"])
    told = told_by(line.encode())
    # A run that fails over memory is a fault in the hardware first.
    vm = product.vm_with(told.pid, faults=told.faults + len(told.exits), seconds=_SHOWN_S)
    page = f"vms/{vm['id']}"
    syndromes = product.get(f"{page}/syndromes")["items"]
    shown = Shown(
        vm=vm,
        flags=product.flags(vm["id"]),
        words={int(item["word"], 16): item["count"] for item in syndromes},
        vcpus={vcpu["vcpu"]: vcpu["faults"] for vcpu in product.get(page)["vcpus"]},
        faults=_all(product, f"{page}/faults"),
        exits=_all(product, "exits", vm=vm["id"]),
        ledger=product.get("ledger", vm=vm["id"])["vms"][0],
    )
    return Account(told, shown, "")


def _all(product: Product, path: str, **parameters: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    page = product.get(path, limit=1000, **parameters)
    items = list(page["items"])
    while page["next_cursor"]:
        page = product.get(path, limit=1000, cursor=page["next_cursor"], **parameters)
        items += page["items"]
    return items


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
