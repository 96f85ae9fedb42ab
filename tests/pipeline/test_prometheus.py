# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes a server, over its restart: it has what the API answers."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from faultmodel import wire
from faultmodel.record import Span
from tests.batches import (
    NS_PER_S,
    VM_ID,
    exit_count,
    fault_count,
    make_batch,
    make_host,
    make_vm,
    stall_count,
)
from tests.product import Product
from tests.prometheus import Prometheus, prometheus

FAULTS = f'kvmfaults_faults_total{{vm="{VM_ID}",access="write"}}'
WRITE = 0x2


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Product]:
    """Return a server without a collector."""
    started = Product(tmp_path)
    started.start_server(expect_collector=False)
    try:
        yield started
    finally:
        started.stop()


class Host:
    """Hands in batches of one VM, each of one second, as a collector does."""

    def __init__(self, server: Product) -> None:
        self._server = server
        self._sequence = 0
        self._began_s = int(time.time()) - 600

    def send(self, faults: int) -> None:
        """Hand in a second with so many faults, of each of which it is known how it ended."""
        start_ns = (self._began_s + self._sequence) * NS_PER_S
        second = start_ns // NS_PER_S - 1_800_000_000
        batch = make_batch(
            self._sequence,
            host=make_host(self._server.host),
            covered=[Span(start_ns, start_ns + NS_PER_S)],
            vms=[make_vm(started_ns=self._began_s * NS_PER_S)],
            fault_counts=[fault_count(second=second, word=WRITE, faults=faults)],
            exit_counts=[exit_count(second=second, count=faults)],
            stalls=[stall_count(second=second, q0=faults)],
        )
        self._sequence += 1
        request = Request(
            f"{self._server.url}/api/v1/ingest",
            wire.encode(batch),
            {
                "Authorization": f"Bearer {self._server.token.read_text().strip()}",
                "Content-Type": wire.CONTENT_TYPE,
            },
        )
        with urlopen(request, timeout=60) as response:
            assert response.status == 200


def test_prometheus_has_the_totals_of_the_api_over_a_restart_of_the_server(
    server: Product, tmp_path: Path
) -> None:
    host = Host(server)
    host.send(5)
    with prometheus(tmp_path / "prometheus", f"127.0.0.1:{server.port}") as found:
        found.wait_for_value(FAULTS, 5)
        host.send(30)
        found.wait_for_value(FAULTS, 35)
        server.kill_server()
        found.wait_for_value('up{job="kvmfaults"}', 0)
        server.start_server(expect_collector=False)
        # Of the time before the server was away.
        host.send(700)
        found.wait_for_value(FAULTS, 735)
        found.check_increase(FAULTS, 5, 735)
        _check_totals(server, found)


def _check_totals(server: Product, found: Prometheus) -> None:
    (vm,) = server.get("vms")["items"]
    of_vm = f'vm="{VM_ID}"'
    assert found.value(f"sum(kvmfaults_faults_total{{{of_vm}}})") == vm["faults"] == 735
    exits = found.value(f'kvmfaults_error_exits_total{{{of_vm},kind="memory_fault"}}')
    assert exits == vm["memory_fault_exits"] == 735
    total = server.get("stall", vm=VM_ID)["total"]
    assert found.value(f"kvmfaults_stall_seconds_count{{{of_vm}}}") == total["timed"] == 735
    quantile = found.value(f"histogram_quantile(0.5, kvmfaults_stall_seconds_bucket{{{of_vm}}})")
    assert quantile == pytest.approx(6e-6)
    named = found.query(f"kvmfaults_faults_total * on (vm) group_left (name) kvmfaults_vm_info{{{of_vm}}}")
    assert {one["metric"]["name"] for one in named} == {vm["name"]}
