# SPDX-License-Identifier: Apache-2.0
"""A real guest's faults and exits, as the API shows them within two seconds of its end."""

import pytest

from demo.machine import Op
from demo.qemu import QemuGuest
from tests.kernel.guests import Truth, run_guest
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel


def _shown(product: Product, truth: Truth) -> str:
    vm = product.vm_with(truth.pid, faults=truth.faults, memory_fault_exits=len(truth.memory_fault_exits))
    assert vm["faults"] == truth.faults
    assert vm["memory_fault_exits"] == len(truth.memory_fault_exits)
    return str(vm["id"])


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"write": 1000}, id="1000 writes"),
        pytest.param({"read": 777}, id="777 reads"),
        pytest.param({"execute": 333}, id="333 fetches"),
        pytest.param({"write": 1009, "read": 503, "execute": 211, "vcpus": 2}, id="all, 2 vCPUs"),
        pytest.param({"write": 300_000, "vcpus": 2}, id="300000 writes, 2 vCPUs"),
        pytest.param({"read": 200_000, "write": 100_000, "execute": 50_000}, id="350000 of all"),
    ],
)
def test_a_guest_is_counted_exactly(product: Product, options: dict[str, int]) -> None:
    truth = run_guest(**options)
    vm_id = _shown(product, truth)
    flags = product.flags(vm_id)
    assert flags.get("write", 0) == truth.write
    assert flags.get("read", 0) == truth.read
    assert flags.get("execute", 0) == truth.execute
    vcpus = {vcpu["vcpu"]: vcpu["faults"] for vcpu in product.get(f"vms/{vm_id}")["vcpus"]}
    assert vcpus == truth.by_vcpu


def test_every_exit_is_recorded_as_the_vmm_saw_it(product: Product) -> None:
    truth = run_guest(write=10, memory_fault=37, bare_error=13, vcpus=2)
    vm_id = _shown(product, truth)
    shown = product.get("exits", vm=vm_id, limit=1000)["items"]
    assert sorted(_exit(item) for item in shown) == sorted(_exit_of(item) for item in truth.exits)


def _exit(item: dict[str, object]) -> tuple[object, ...]:
    annotated = item["kind"] == "memory_fault"
    gpa = int(str(item["gpa"]), 16) if annotated else -1
    size = item["size"] if annotated else -1
    flags = int(str(item["flags_raw"]), 16) if annotated else -1
    return item["kind"], item["vcpu"], item["reason"], item["errno"], gpa, size, flags


def _exit_of(item: dict[str, object]) -> tuple[object, ...]:
    annotated = item["kind"] == "memory_fault"
    gpa, size, flags = (item["gpa"], item["size"], item["flags"]) if annotated else (-1, -1, -1)
    return item["kind"], item["vcpu"], item["reason"], item["errno"], gpa, size, flags


def test_a_stock_qemu_bears_its_name_and_uuid(product: Product) -> None:
    uuid = "5b1c9c0e-2f7e-4c53-8d57-5b8a4f0d9c11"
    with QemuGuest([(Op.WRITE, 1021), (Op.READ, 509)], name="web,,frontend", uuid=uuid) as guest:
        before = product.vm_with(guest.pid, faults=1)
        assert (before["name"], before["uuid"], before["vmm"]) == ("web,frontend", uuid, "qemu")
        flags = _settled_flags(product, str(before["id"]))
        guest.do(0)
        guest.do(1)
        vm = product.vm_with(guest.pid, faults=before["faults"] + 1530)
        after = product.flags(str(vm["id"]))
    assert after["write"] - flags.get("write", 0) == 1021
    assert after["read"] - flags.get("read", 0) == 509


def _settled_flags(product: Product, vm_id: str) -> dict[str, int]:
    """The flags once a whole interval has come after the guest fell silent."""

    def newest() -> object:
        return product.get("status")["hosts"][0]["last_batch"]

    def await_another(than: object) -> None:
        wait_for(lambda: newest() != than or None, SEEN_S, "another batch comes")

    await_another(newest())
    await_another(newest())
    return product.flags(vm_id)


def test_rates_add_up_to_the_faults(product: Product) -> None:
    truth = run_guest(write=5003)
    vm_id = _shown(product, truth)
    rates = product.get("rates", metric="faults", vm=vm_id, by="access", from_="now-1h", step="1s")
    assert {series["key"]: series["total"] for series in rates["series"]} == {
        "write": truth.write,
        "read": truth.read,
        "execute": truth.execute,
    }
    assert rates["step_ms"] == 1000
    assert all(len(series["values"]) == len(rates["times_ms"]) for series in rates["series"])
