# SPDX-License-Identifier: Apache-2.0
"""A guest's totals are the same at every level and in every step, also once its seconds are gone."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.store import open_store
from backend.store.contract.jobs import JobClaim
from backend.store.contract.levels import LENGTHS_S
from backend.store.contract.retention import Kept
from backend.store.contract.store import Store
from faultmodel.record import Span
from faultmodel.units import MS_PER_S, NS_PER_S
from tests.batches import make_batch, make_host
from tests.kernel.guests import Truth, run_guest
from tests.product import Product

pytestmark = pytest.mark.kernel

HOUR_S = 3600
STEPS = ("1s", "2s", "10s", "30s", "1m", "10m", "1h", "6h")
PAGES = 4099


def test_totals_are_the_same_at_every_level_live_and_hours_later(own_product: Product) -> None:
    began_s = int(time.time())
    truth = run_guest(write=PAGES, vcpus=2)
    vm = own_product.vm_with(truth.pid, faults=truth.faults)
    assert vm["faults"] == truth.faults
    flags = own_product.get(f"vms/{vm['id']}/flags")
    for step in STEPS:
        assert charted(own_product, vm["id"], began_s, step) == shown(truth)
    own_product.stop()

    with closing(open_store(own_product.database)) as store:
        go_on_by(store, own_product.host, 3 * HOUR_S)
        kept = store.kept_levels()
        assert kept.finest_at(began_s) == LENGTHS_S[3]
    own_product.start_server(expect_collector=False)
    (later,) = own_product.get("vms", pid=truth.pid)["items"]
    assert (later["faults"], later["memory_fault_exits"]) == (truth.faults, 0)
    assert own_product.get(f"vms/{vm['id']}/flags")["items"] == flags["items"]
    for step in ("10m", "1h", "6h"):
        assert charted(own_product, vm["id"], began_s, step) == shown(truth)
    for step in ("1s", "2s", "10s", "30s", "1m"):
        found = asked(own_product, vm["id"], began_s, step)
        assert found["kept_from_ms"] is not None
        assert {value for one in found["series"] for value in one["values"]} <= {None}


def charted(product: Product, vm: str, began_s: int, step: str) -> Any:
    """Return what charts show in all: writes, faults by vCPU, faults, and those of the ledger."""
    by_flag, by_vcpu, by_vm = (
        asked(product, vm, began_s, step, by=by)["series"] for by in ("flag", "vcpu", "vm")
    )
    (account,) = product.get("ledger", vm=vm, **span(began_s, step))["vms"]
    return (
        sum(one["total"] for one in by_flag if one["key"] == "write"),
        sum(one["total"] for one in by_vcpu),
        sum(one["total"] for one in by_vm),
        account["seen"]["total"],
        account["counted"]["total"],
    )


def shown(truth: Truth) -> Any:
    """Return what they are to show."""
    return truth.write, truth.faults, truth.faults, truth.faults, truth.faults


def asked(product: Product, vm: str, began_s: int, step: str, **further: str) -> Any:
    """Chart a VM around the time at which it ran."""
    return product.get("rates", vm=vm, **span(began_s, step), **further)


def span(began_s: int, step: str) -> dict[str, object]:
    """Return the hour in which a VM began, and some of the next; of short steps fewer."""
    return {"from_": (began_s - 60) * MS_PER_S, "to": (began_s + HOUR_S // 2) * MS_PER_S, "step": step}


def go_on_by(store: Store, host: str, seconds: int) -> None:
    """Let so much time pass: the host goes on, all is summed up, and buckets of 10 min and longer are kept.

    Ages are judged by what the host's newest batch says, ten minutes further in each run.
    """
    now_s = int(time.time()) + seconds
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    later = make_batch(
        0,
        host=make_host(host, boot_id=boot_id),
        vms=[],
        covered=[Span((now_s - 1) * NS_PER_S, now_s * NS_PER_S)],
        fault_counts=[],
    )
    assert store.apply(later, now_s * NS_PER_S)
    store.set_ages({Kept.COUNTS_1S: HOUR_S, Kept.COUNTS_10S: HOUR_S, Kept.COUNTS_1MIN: HOUR_S})
    claims = {
        name: JobClaim(name=name, holder="test", began_ns=now_s * NS_PER_S, within_ns=10**15, every_ns=0)
        for name in ("rollup", "retention")
    }
    assert all(map(store.claim_job, claims.values()))
    while store.roll_up(now_s, claims["rollup"]):
        pass
    for _ in range(seconds // 600 + 1):
        store.note_kept(now_s, claims["retention"])
    store.remove_older(60, claims["retention"])
