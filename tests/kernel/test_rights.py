# SPDX-License-Identifier: Apache-2.0
"""What a running collector may, and that it counts, names and hands over with no more than that."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.rights import Capability
from tests.kernel.guests import run_guest, truth_of
from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel

KEPT = 1 << Capability.BPF | 1 << Capability.PERFMON
NOBODY = 65534


def _status(folder: Path) -> dict[str, int]:
    lines = (line.partition(":") for line in (folder / "status").read_text().splitlines())
    fields = {name: value.strip() for name, _, value in lines}
    masks = {name: int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")}
    return {**masks, "NoNewPrivs": int(fields["NoNewPrivs"])}


def _rights(mask: int) -> dict[str, int]:
    return {"CapEff": mask, "CapPrm": mask, "CapBnd": mask, "CapInh": 0, "CapAmb": 0, "NoNewPrivs": 1}


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_every_thread_keeps_what_counting_needs_and_nothing_else(own_product: Product) -> None:
    collector = own_product.collector
    assert collector is not None
    tasks = list(Path(f"/proc/{collector.pid}/task").iterdir())
    assert len(tasks) > 1, "the shipper is a thread"
    assert [_status(task) for task in tasks] == [_rights(KEPT)] * len(tasks)


def test_the_doctor_says_what_the_running_collector_holds(own_product: Product) -> None:
    said = own_product.command(
        *("collector", "doctor", "--no-attach", "--json", "--data-dir", str(own_product.directory))
    )
    findings = {finding["name"]: finding for finding in json.loads(said)}
    assert (findings["rights"]["state"], findings["data"]["state"]) == ("ok", "ok")
    assert findings["rights"]["found"].endswith("holds PERFMON, BPF, and can get no other")
    (host,) = own_product.get("status")["hosts"]
    assert host["collector"]["capabilities"] == ["PERFMON", "BPF"]
    assert host["collector"]["data_dir"] == str(own_product.directory)


def test_one_process_beside_it_can_open_what_it_may_not_and_ends_with_it(own_product: Product) -> None:
    assert own_product.collector is not None
    (opener,) = _children(own_product.collector.pid)
    assert _status(Path(f"/proc/{opener}")) == _rights(1 << Capability.SYS_ADMIN)
    own_product.kill_collector()
    wait_for(lambda: not Path(f"/proc/{opener}").exists() or None, SEEN_S, "it ends")


def test_run_times_are_measured_all_the_same(own_server: Product) -> None:
    # One reading of thirty is measured.
    own_server.start_collector("--interval", "0.05")

    def measured() -> float | None:
        run_guest(write=2000)
        (host,) = own_server.get("status")["hosts"]
        per_run: float | None = host["cost"] and host["cost"]["program_ns_per_run"]
        return per_run

    assert wait_for(measured, 90, "run times of the programs are reported") > 0


def test_a_guest_of_another_user_is_named_and_taken_over(
    own_product: Product,
) -> None:
    with _guest_of_nobody() as guest:
        truth = truth_of(guest.stdout.readline() if guest.stdout else b"")
        assert Path(f"/proc/{truth.pid}").stat().st_uid == NOBODY
        vm = own_product.vm_with(truth.pid, faults=truth.faults)
        assert (vm["faults"], "demo run --write 500" in vm["command"]) == (truth.faults, True)
        own_product.kill_collector()
        own_product.start_collector()
        kinds = [event["kind"] for event in own_product.get("host-events")["items"]]
        assert "taken_over" in kinds
        after = run_guest(write=300)
        assert own_product.vm_with(after.pid, faults=after.faults)["faults"] == after.faults


@contextmanager
def _guest_of_nobody() -> Iterator["subprocess.Popen[bytes]"]:
    if os.geteuid() != 0:
        pytest.skip("only root can start a guest as another user")
    # /dev/kvm may be closed to others: it is opened as root, as whom no more is done from then on.
    start = """
import os, sys
import demo.__main__ as command
as_root = os.open
def as_nobody(path, *rest, **named):
    fd = as_root(path, *rest, **named)
    if path == "/dev/kvm":
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    return fd
os.open = as_nobody
sys.argv[1:] = ["run", "--write", "500", "--hold"]
sys.exit(command.main())
"""
    guest = subprocess.Popen(
        [sys.executable, "-c", start, "demo", "run", "--write", "500"],
        cwd=TOP,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    try:
        yield guest
    finally:
        guest.communicate(timeout=60)
