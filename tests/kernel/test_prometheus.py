# SPDX-License-Identifier: Apache-2.0
"""What a real Prometheus has of a real guest, whatever ends meanwhile: what the API answers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.kernel.guests import end_endless, endless
from tests.product import SEEN_S, Product, wait_for
from tests.prometheus import SCRAPED_S, prometheus

pytestmark = pytest.mark.kernel


def test_counters_are_the_apis_over_a_restart_of_each_side_and_a_guests_end_while_its_host_is_away(
    own_product: Product, tmp_path: Path
) -> None:
    with (
        prometheus(tmp_path / "prometheus", f"127.0.0.1:{own_product.port}") as found,
        endless() as guest,
    ):
        vm = wait_for(lambda: own_product.vm(guest.pid), SEEN_S, "the guest is known")
        faults = f'sum by (vm) (kvmfaults_faults_total{{vm="{vm["id"]}"}})'
        writes = f'kvmfaults_faults_total{{vm="{vm["id"]}",access="write"}}'

        def shown() -> float:
            return found.value(faults) or 0

        wait_for(lambda: found.value(writes), SCRAPED_S, "the guest is scraped")
        for kill, start in (
            (own_product.kill_server, own_product.start_server),
            (own_product.kill_collector, own_product.start_collector),
        ):
            kill()
            start()
            wait_for(partial(_above, shown, shown()), SCRAPED_S, "faults go on")
        own_product.kill_collector()
        truth = end_endless(guest)
        own_product.start_collector()
        own_product.vm_with(truth.pid, faults=truth.faults, seconds=SCRAPED_S)
        found.wait_for_value(faults, truth.faults)
        assert own_product.get(f"vms/{vm['id']}")["faults"] == truth.faults
        samples = found.query(f"{writes}[1h]")[0]["values"]
        found.check_increase(writes, float(samples[0][1]), truth.write)


def _above(shown: Callable[[], float], least: float) -> bool | None:
    return shown() > least or None
