# SPDX-License-Identifier: Apache-2.0
"""One boot: a server on this host, a collector and guests in the machine, and what each of them says."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.emulated.kernels import Kernel
from tests.emulated.machine import HOST_ADDRESS, Answer, EmulatorError, Machine
from tests.emulated.platforms import Platform
from tests.kernel.guests import Truth, truth_of
from tests.product import Product, wait_for

ATTEMPTS = 4
DATA_DIR = "/tmp/kvmfaults"
"""Of the collector in the machine."""
_SHOWN_S = 1200.0
_STATE_S = 1800.0
"""A collector on a busy machine begins to compile anew, with twice the time, until that is enough."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the server shows of one guest.

    ``words`` are the counts by syndrome word, in these ``formats``; ``outcomes`` those by what the kernel's
    events say of how faults ended, ``ended`` those by how they were seen to end. ``faults`` and ``exits`` are
    the single ones, newest first.
    """

    vm: dict[str, Any]
    flags: dict[str, int]
    words: dict[int, int]
    formats: frozenset[str]
    outcomes: dict[str, int]
    ended: dict[str, int]
    stalls: dict[str, Any]
    vcpus: dict[int, int]
    faults: list[dict[str, Any]]
    exits: list[dict[str, Any]]
    ledger: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Account:
    """A guest by its own account and by the server's; ``refused`` is why this kernel could not run it."""

    truth: Truth | None
    shown: Shown | None
    refused: str


@dataclass(frozen=True, slots=True)
class Session:
    """All that is known of a boot that went to its end.

    ``repeated`` says of each attempt before it why it was not the last; ``seconds`` is how long this took.
    ``doctor``'s findings and ``accounts`` are by name; ``status`` is the host's. ``counted``: what other
    modules printed, by name. ``after`` is what was found once that collector had ended.
    """

    kernel: Kernel
    repeated: tuple[str, ...]
    seconds: float
    doctor: dict[str, dict[str, Any]]
    status: dict[str, Any]
    accounts: dict[str, Account]
    counted: dict[str, dict[str, Any]]
    collector_status: int
    collector_log: str
    after: Any


class Stage:
    """A machine, and the server on this host that its collector sends to. A context manager."""

    def __init__(
        self, platform: Platform, kernel: Kernel, folder: Path, kernel_options: Sequence[str] = ()
    ) -> None:
        """Start both.

        :param folder: empty; logs and the server's database stay there
        :raises EmulatorError: the machine did not come up
        """
        self.product = Product(folder)
        self.product.start_server("--allowed-host", HOST_ADDRESS)
        try:
            self.machine = Machine(platform, kernel, folder / "machine", kernel_options)
        except EmulatorError:
            self.product.stop()
            raise
        token = self.machine.job / "token"
        token.write_text(self.product.token.read_text())
        token.chmod(0o600)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        with self.machine:
            self.product.stop()

    def start_collector(self, *options: str, prefix: Sequence[str] = ()) -> int:
        """Start the collector in the machine, as ``Machine.start``, and return its process id there."""
        server = f"http://{HOST_ADDRESS}:{self.product.port}"
        arguments = ["--server", server, "--token-file", "/job/token", "--host", self.product.host]
        # Emulated, each run of a program takes as long as many do elsewhere.
        arguments += ["--data-dir", DATA_DIR, "--hook-budget", "0", *options]
        return self.machine.start("collector.log", "collector", "run", *arguments, prefix=prefix)

    def collector_log(self) -> str:
        """Return what the collector has said."""
        log = self.machine.job / "collector.log"
        return log.read_text() if log.exists() else ""

    def host(self) -> dict[str, Any] | None:
        """Return the machine as the server's status has it; None before it was heard of."""
        hosts = self.product.get("status")["hosts"]
        return dict(hosts[0]) if hosts else None

    def until_state(self, state: str, detail: str = "", *, seconds: float = _STATE_S) -> dict[str, Any]:
        """Wait until the status shows the machine in a state, with this in its detail; return all of it."""

        def look() -> dict[str, Any] | None:
            host = self.host()
            return host if host and host["state"] == state and detail in host["detail"] else None

        return self.until(look, seconds, f"the machine is {state} {detail}")

    def until_looking(self) -> dict[str, Any]:
        """Wait until the status says whether memslots can be looked at: that is compiled last, and slowly."""

        def look() -> dict[str, Any] | None:
            host = self.host()
            names = {check["name"] for check in host["checks"]} if host else ()
            return host if {"memslots", "looks"} & set(names) else None

        return self.until(look, _STATE_S, "memslots are looked at")

    def until(self, look: Callable[[], Result | None], seconds: float, what: str) -> Result:
        """Return what ``look`` finds, looking until it is not None.

        :raises AssertionError: it found nothing in time, with what the collector said last
        :raises EmulatorError: the machine failed meanwhile
        """

        def look_while_it_runs() -> Result | None:
            self.machine.check()
            return look()

        try:
            return wait_for(look_while_it_runs, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\ncollector: {self.collector_log()[-2000:]}") from None


def run_session(
    platform: Platform,
    kernel: Kernel,
    folder: Path,
    guests: Mapping[str, Sequence[str]],
    kvm_parameters: Sequence[str] = (),
    modules: Mapping[str, Sequence[str]] = {},
    afterwards: Callable[[Stage], Any] | None = None,
) -> Session:
    """Boot, trace the guests, end. Where the emulator fails, all of it is done again.

    :param folder: empty; logs and the server's database stay there
    :param guests: the arguments behind ``python -m`` of each, by a name for it
    :param kvm_parameters: of the vendor's KVM module
    :param modules: the same as of guests, of modules that print in JSON what they counted by themselves
    :param afterwards: what else is done in the machine, where no collector runs any more
    :raises EmulatorError: the machine failed in the last attempt
    :raises AssertionError: something did not come about in time
    """
    return attempt(
        lambda place, repeated: _trace(
            platform, kernel, place, guests, kvm_parameters, modules, afterwards, repeated
        ),
        folder,
    )


def attempt(act: Callable[[Path, tuple[str, ...]], Result], folder: Path) -> Result:
    """Return what ``act`` does with an empty folder, and why it was not enough to do so before.

    :raises EmulatorError: the last attempt failed too
    """
    repeated: tuple[str, ...] = ()
    while len(repeated) < ATTEMPTS - 1:
        try:
            return act(_made(folder / f"attempt-{len(repeated) + 1}"), repeated)
        except EmulatorError as error:
            logger.warning("to be done again error=%s", error)
            repeated = (*repeated, str(error).partition(";")[0])
    return act(_made(folder / f"attempt-{ATTEMPTS}"), repeated)


def account(stage: Stage, line: str) -> Account:
    """Return what a guest printed and what the server shows of it, once all is shown."""
    product = stage.product
    truth = truth_of(line.encode())

    def all_of_it() -> dict[str, Any] | None:
        # The host first: what it covers by then is in the VM that is asked for next. What was counted last
        # may come in another batch than the news of the end.
        host, vm = stage.host(), product.vm(truth.pid)
        if vm is None or vm["ended_at"] is None or host is None:
            return None
        return vm if _time(host["covered_to"]) > _time(vm["ended_at"]) else None

    vm = stage.until(all_of_it, _SHOWN_S, f"all of the VM of pid {truth.pid} is shown")
    page = f"vms/{vm['id']}"
    syndromes = product.get(f"{page}/syndromes")["items"]
    shown = Shown(
        vm=vm,
        flags=product.flags(vm["id"]),
        words={int(item["word"], 16): item["count"] for item in syndromes},
        formats=frozenset(item["format"] for item in syndromes),
        outcomes={item["flag"]: item["count"] for item in product.get(f"{page}/flags")["outcomes"]},
        ended=_by_outcome(all_of(product, "outcomes", vm=vm["id"])),
        stalls=product.get("stall", vm=vm["id"]),
        vcpus={vcpu["vcpu"]: vcpu["faults"] for vcpu in product.get(page)["vcpus"]},
        faults=all_of(product, f"{page}/faults"),
        exits=all_of(product, "exits", vm=vm["id"]),
        ledger=product.get("ledger", vm=vm["id"])["vms"][0],
    )
    return Account(truth, shown, "")


def _trace(
    platform: Platform,
    kernel: Kernel,
    folder: Path,
    guests: Mapping[str, Sequence[str]],
    kvm_parameters: Sequence[str],
    modules: Mapping[str, Sequence[str]],
    afterwards: Callable[[Stage], Any] | None,
    repeated: tuple[str, ...],
) -> Session:
    began = time.monotonic()
    with Stage(platform, kernel, folder) as stage:
        machine = stage.machine
        machine.load_kvm(*kvm_parameters)
        findings = json.loads(machine.python("collector", "doctor", "--json", "--no-attach").output)
        collector = stage.start_collector("--records", "all", "--budget", "0")
        stage.until_state("attached")
        # An exit has its cause from then on.
        stage.until_looking()
        # All have run before the first is looked for: the machine is busy while it waits to be shown, too.
        ran = {name: machine.python(*arguments) for name, arguments in guests.items()}
        accounts = {name: _account_of(stage, answer) for name, answer in ran.items()}
        status = stage.until_looking()
        counted = {name: _printed(machine.python(*arguments)) for name, arguments in modules.items()}
        collector_status, log = machine.stop(collector), stage.collector_log()
        seconds = time.monotonic() - began
        return Session(
            kernel=kernel,
            repeated=repeated,
            doctor={finding["name"]: finding for finding in findings},
            status=status,
            accounts=accounts,
            counted=counted,
            collector_status=collector_status,
            collector_log=log,
            seconds=seconds,
            after=afterwards(stage) if afterwards else None,
        )


def _printed(answer: Answer) -> dict[str, Any]:
    assert answer.status == 0, answer.error
    return dict(json.loads(answer.output))


def _account_of(stage: Stage, answer: Answer) -> Account:
    if answer.status != 0:
        return Account(None, None, answer.error.strip())
    return account(stage, answer.output)


def _by_outcome(items: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts = Counter[str]()
    for item in items:
        counts[item["outcome"]] += item["count"]
    return dict(counts)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def all_of(product: Product, path: str, **parameters: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    page = product.get(path, limit=1000, **parameters)
    items = list(page["items"])
    while page["next_cursor"]:
        page = product.get(path, limit=1000, cursor=page["next_cursor"], **parameters)
        items += page["items"]
    return items
