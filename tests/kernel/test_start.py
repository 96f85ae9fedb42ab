# SPDX-License-Identifier: Apache-2.0
"""What somebody sees of a collector that starts, until it counts."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collector.settings import spool_directory
from collector.spool.queue import Spool
from faultmodel import wire
from tests.product import START_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel

POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
STEPS = ("starting", "compiling", "attached")


def test_a_start_says_at_once_what_it_does_and_what_it_waits_for(tmp_path: Path) -> None:
    product = Product(tmp_path)
    product.cache_dir = tmp_path
    log = tmp_path / "log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", *product.collector_command()], cwd=TOP, stderr=output
        )
        try:
            wait_for(lambda: " attached tracepoints=" in log.read_text() or None, START_S, "it is attached")
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait()
            product.stop()
    lines = [line.partition(" INFO collector.pipeline ")[2] for line in log.read_text().splitlines()]
    assert [line.split()[0] for line in lines if line.startswith(STEPS)] == list(STEPS)
    assert "counting begins when they are attached" in log.read_text()


def test_the_page_says_that_it_compiles_and_not_that_nobody_is_there(tmp_path: Path) -> None:
    product = Product(tmp_path)
    product.cache_dir = tmp_path
    product.start_server()
    try:
        product.spawn_collector()

        def waiting() -> list[str] | None:
            hosts = product.get("status")["hosts"]
            return [host["detail"] for host in hosts if host["state"] == "waiting"] or None

        (detail,) = wait_for(waiting, START_S, "the host waits")
        assert detail.startswith("compiling the programs for this kernel")
        wait_for(lambda: _is_attached(product) or None, START_S, "the host counts")
    finally:
        product.stop()


def _is_attached(product: Product) -> bool:
    return [host["state"] for host in product.get("status")["hosts"]] == ["attached"]


def test_a_host_that_cannot_attach_says_why_and_not_in_turns_that_it_compiles(tmp_path: Path) -> None:
    product = Product(tmp_path)
    product.cache_dir = tmp_path
    log = tmp_path / "log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            [*POWERLESS, sys.executable, "-m", *product.collector_command()], cwd=TOP, stderr=output
        )
        try:
            wait_for(
                lambda: log.read_text().count(" waiting reason=") > 2 or None, START_S, "three tries failed"
            )
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait()
            product.stop()
    assert log.read_text().count(" compiling the programs ") == 1
    first, *others = _what_it_waited_for(product.data_dir)
    assert first.startswith("compiling the programs for this kernel")
    assert len(others) == log.read_text().count(" waiting reason=")
    (reason,) = set(others)
    assert reason == "BPF and PERFMON not held"


def _what_it_waited_for(data_dir: Path) -> list[str]:
    found = []
    with Spool(spool_directory(data_dir)) as spool:
        while (oldest := spool.oldest()) is not None:
            (check,) = wire.decode(oldest.batch).host.checks
            found.append(check.found)
            spool.remove(oldest.number)
    return found
