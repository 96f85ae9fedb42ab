# SPDX-License-Identifier: Apache-2.0
"""KVM's announcements: as bytes, and from this machine's kernel."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.counting import clock
from collector.vms.identity.process import host_proc, read_process
from collector.vms.identity.uevents import EventKind, KvmEvent, KvmEvents, parse_uevent
from collector.vms.table import KernelVm, VmTable
from tests.product import wait_for

KVM_CREATE_VM = 0xAE01

# As a 6.18 kernel sent them.
CREATE = (
    b"change@/devices/virtual/misc/kvm\0ACTION=change\0DEVPATH=/devices/virtual/misc/kvm\0SUBSYSTEM=misc\0"
    b"CREATED=1\0COUNT=1\0EVENT=create\0PID=4587\0STATS_PATH=/kvm/4587-5\0MAJOR=10\0MINOR=232\0"
    b"DEVNAME=kvm\0SEQNUM=820\0"
)
DESTROY = CREATE.replace(b"EVENT=create", b"EVENT=destroy")


@pytest.fixture
def events() -> Iterator[KvmEvents]:
    with KvmEvents() as opened:
        if opened.unavailable:
            pytest.skip(opened.unavailable)
        yield opened


@pytest.fixture
def kvm() -> Iterator[int]:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("/dev/kvm cannot be opened")
    descriptor = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        pytest.param(CREATE, KvmEvent(EventKind.CREATED, "4587-5"), id="create"),
        pytest.param(DESTROY, KvmEvent(EventKind.DESTROYED, "4587-5"), id="destroy"),
        pytest.param(
            DESTROY.replace(b"STATS_PATH=/kvm/4587-5\0", b""),
            KvmEvent(EventKind.DESTROYED),
            id="no debugfs folder",
        ),
        pytest.param(CREATE.replace(b"EVENT=create", b"EVENT=new"), None, id="unknown event"),
        pytest.param(CREATE.replace(b"EVENT=create\0", b""), None, id="not about a VM"),
        pytest.param(b"change@/devices/virtual/misc/kvmx\0EVENT=create\0", None, id="another device"),
        pytest.param(b"libudev\0\xfe\xed\xca\xfe", None, id="from udev"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_uevents_are_read(message: bytes, event: KvmEvent | None) -> None:
    assert parse_uevent(message) == event


def test_nothing_arrives_after_close() -> None:
    events = KvmEvents()
    events.close()
    events.close()
    assert events.read() == ()


@pytest.mark.kernel
def test_a_real_vm_is_announced_and_its_end_too(events: KvmEvents, kvm: int) -> None:
    vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    name = f"{os.getpid()}-{vm}"
    assert KvmEvent(EventKind.CREATED, name) in events.read()
    os.close(vm)
    assert KvmEvent(EventKind.DESTROYED, name) in events.read()


@pytest.mark.kernel
def test_a_real_vm_that_is_closed_ends_while_its_process_lives(events: KvmEvents, kvm: int) -> None:
    process = read_process(os.getpid())
    assert process is not None
    table = VmTable(clock.boot_id(), clock.measure().boottime_to_utc_ns, host_proc())
    vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    seen = KernelVm(
        kvm=1,
        instance=1,
        pid=os.getpid(),
        start_boottime_ns=process.start_boottime_ns,
        comm="test",
        stats_name=f"{os.getpid()}-{vm}",
    )
    for event in events.read():
        table.apply(event, 1)
    assert table.see(seen, 2).command.startswith(process.command[0])
    os.close(vm)
    for event in events.read():
        table.apply(event, 3)
    assert len(table.ended(4)) == 1


@pytest.mark.kernel
def test_uevents_of_other_devices_do_not_arrive(events: KvmEvents) -> None:
    trigger = Path("/sys/class/mem/null/uevent")
    if not os.access(trigger, os.W_OK):
        pytest.skip(f"{trigger} cannot be written")

    def is_quiet() -> bool | None:
        events.read()
        trigger.write_text("change")
        return True if events.read() == () else None

    # Other VMs of this machine may come and go meanwhile.
    assert wait_for(is_quiet, 60, "nothing arrives")
