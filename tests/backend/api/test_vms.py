# SPDX-License-Identifier: Apache-2.0
"""The list of VMs, and one VM."""

import pytest

from faultmodel.record import Collector
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.batches import START_MS, STREAM, VM_ID, exit_count, fault_count, make_batch, make_host, make_vm

OTHER = "00000000000000b2"


def test_a_vm_has_every_field_of_the_interface(server: Server) -> None:
    server.apply(
        make_batch(vms=[make_vm()], fault_counts=[fault_count(faults=30)], exit_counts=[exit_count(count=2)])
    )
    page = server.get("/api/v1/vms")
    assert page == {
        "items": [
            {
                "id": VM_ID,
                "reported_id": VM_ID,
                "name": "guest",
                "guest": "f427c24233487b35",
                "uuid": "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11",
                "vmm": "qemu",
                "manager": "",
                "command": "qemu-system-x86_64 -name guest",
                "host": "host-1",
                "arch": "x86_64",
                "pid": 4242,
                "started_at": "2027-01-15T07:59:00.000000000Z",
                "ended_at": None,
                "first_seen": "2027-01-15T08:00:00.000Z",
                "last_seen": "2027-01-15T08:00:01.000Z",
                "faults": 30,
                "memory_fault_exits": 2,
                "bare_error_exits": 0,
                "unclassified_error_exits": 0,
                "untold_error_exits": 0,
                "fault_rate": 30.0,
                "exit_rate": 2.0,
                "running": True,
                "rate_at_end": None,
                "trend": [],
            }
        ],
        "next_cursor": None,
        "totals": None,
        "trend": None,
        "counted": None,
        "vms_left_out": 0,
        "warnings": [not_covered(START_MS + 1000, START_MS + 45_000)],
        "warnings_left_out": 0,
        "as_of": {
            "hosts": [
                {
                    "host": "host-1",
                    "stream": STREAM,
                    "batch": 0,
                    "changes": 1,
                    "covered_to": "2027-01-15T08:00:01.000000000Z",
                }
            ],
            "left_out": 0,
        },
    }


def test_there_are_no_vms_at_first(server: Server) -> None:
    found = server.get("/api/v1/vms")
    nobody = {"hosts": [], "left_out": 0}
    assert found == {
        "items": [],
        "next_cursor": None,
        "totals": None,
        "trend": None,
        "counted": None,
        "vms_left_out": 0,
        "warnings": [],
        "warnings_left_out": 0,
        "as_of": nobody,
    }


def test_totals_are_of_the_range_alone(server: Server) -> None:
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=5)]),
        make_batch(1, fault_counts=[fault_count(second=1, faults=7)]),
        make_batch(2, fault_counts=[fault_count(second=2, faults=11)]),
    )
    (vm,) = server.get("/api/v1/vms", from_=START_MS + 1000, to=START_MS + 2000)["items"]
    assert vm["faults"] == 7


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        ("pid", 7, [OTHER]),
        ("pid", 8, []),
        ("name", "other", [OTHER]),
        ("name", "oth", []),
        ("host", "host-1", [VM_ID, OTHER]),
        ("host", "host-2", []),
        ("host", "a\0b", []),
        ("arch", "x86_64", [VM_ID, OTHER]),
        ("arch", "amd64", [VM_ID, OTHER]),
        ("arch", "aarch64", []),
        ("arch", "z80", []),
    ],
)
def test_vms_are_filtered(server: Server, parameter: str, value: object, found: list[str]) -> None:
    server.apply(make_batch(vms=[make_vm(), make_vm(OTHER, pid=7, name="other")]))
    page = server.get("/api/v1/vms", **{parameter: value})
    assert [vm["id"] for vm in page["items"]] == found


def test_pages_follow_one_another_without_a_gap(server: Server) -> None:
    ids = [f"{number:016x}" for number in range(1, 6)]
    server.apply(make_batch(vms=[make_vm(vm_id) for vm_id in ids]))
    first = server.get("/api/v1/vms", limit=2)
    second = server.get("/api/v1/vms", limit=2, cursor=first["next_cursor"])
    third = server.get("/api/v1/vms", limit=2, cursor=second["next_cursor"])
    assert [vm["id"] for page in (first, second, third) for vm in page["items"]] == ids
    assert third["next_cursor"] is None


def test_one_vm_has_its_vcpus_and_its_exits_by_reason(server: Server) -> None:
    server.apply(
        make_batch(
            fault_counts=[fault_count(faults=3), fault_count(vcpu=1, faults=4)],
            exit_counts=[exit_count(count=2), exit_count(vcpu=1, reason=6, errno=0, count=9)],
        )
    )
    vm = server.get(f"/api/v1/vms/{VM_ID}")
    assert vm["faults"] == 7
    assert vm["vcpus"] == [
        {
            "vcpu": 0,
            "faults": 3,
            "memory_fault_exits": 2,
            "bare_error_exits": 0,
            "unclassified_error_exits": 0,
            "untold_error_exits": 0,
        },
        {
            "vcpu": 1,
            "faults": 4,
            "memory_fault_exits": 0,
            "bare_error_exits": 0,
            "unclassified_error_exits": 0,
            "untold_error_exits": 0,
        },
    ]
    assert vm["exit_reasons"] == [
        {"reason": 6, "reason_name": "KVM_EXIT_MMIO", "errno": 0, "errno_name": "none", "count": 9},
        {
            "reason": 39,
            "reason_name": "KVM_EXIT_MEMORY_FAULT",
            "errno": 14,
            "errno_name": "EFAULT",
            "count": 2,
        },
    ]


@pytest.mark.parametrize("below", ["", "/flags", "/syndromes"])
@pytest.mark.parametrize("vm_id", ["00000000000000ff", "guest", "%00", "%ff", "9" * 5000])
def test_an_unknown_vm_is_not_found(server: Server, vm_id: str, below: str) -> None:
    status, _ = server.problem(f"/api/v1/vms/{vm_id}{below}")
    assert status == 404


def test_a_host_with_two_vms_of_one_process_lists_both(server: Server) -> None:
    server.apply(make_batch(host=make_host("host-2"), vms=[make_vm(), make_vm(OTHER)]))
    assert len(server.get("/api/v1/vms", pid=4242)["items"]) == 2


def test_a_vm_tells_how_its_hosts_collector_is_called(server: Server) -> None:
    collector = Collector(
        program="/opt/x/kvmfaults-collector",
        data_dir="/d",
        capabilities=("PERFMON", "BPF"),
        takes_requests=True,
    )
    server.apply(make_batch(host=make_host(collector=collector), fault_counts=[fault_count(faults=1)]))
    expected = {
        "program": "/opt/x/kvmfaults-collector",
        "data_dir": "/d",
        "in_container": False,
        "capabilities": ["PERFMON", "BPF"],
        "takes_requests": True,
    }
    assert server.get(f"/api/v1/vms/{VM_ID}")["collector"] == expected
    assert server.get("/api/v1/status")["hosts"][0]["collector"] == expected


def test_a_collector_that_tells_nothing_of_itself_is_null(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(faults=1)]))
    assert server.get(f"/api/v1/vms/{VM_ID}")["collector"] is None
    assert server.get("/api/v1/status")["hosts"][0]["collector"] is None
