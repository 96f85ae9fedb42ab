"""Batches are numbered without a hole and cut to what the server takes."""

from pathlib import Path

from collector.outbox import Content, Outbox
from collector.spool import Spool
from faultmodel import wire
from faultmodel.arch.x86 import X86FaultCount
from faultmodel.record import Host, Loss, Span, Vm

HOST = Host(name="h", boot_id="b", arch="x86_64", state="attached")


def _spooled(spool: Spool) -> list[wire.Batch]:
    batches = []
    while (oldest := spool.oldest()) is not None:
        batches.append(wire.decode(oldest.batch))
        spool.remove(oldest.number)
    return batches


def _vm(number: int) -> Vm:
    return Vm(id=f"{number:016x}", pid=number, started_ns=1)


def test_batches_of_one_stream_are_numbered_from_zero(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        outbox = Outbox(spool, "x86_64")
        for _ in range(3):
            outbox.send(HOST, Content())
        batches = _spooled(spool)
    assert [batch.sequence for batch in batches] == [0, 1, 2]
    assert len({batch.stream for batch in batches}) == 1


def test_a_large_reading_is_cut_between_vms_and_nothing_is_lost(tmp_path: Path) -> None:
    vms = [_vm(number) for number in range(2000)]
    counts = [X86FaultCount(1000, vm.id, vcpu, "npf", 0x100000006, 1) for vm in vms for vcpu in range(16)]
    content = Content(vms=vms, fault_counts=counts, lost=[Loss("keys_full", 1)], covered=[Span(1, 2)])
    with Spool(tmp_path) as spool:
        Outbox(spool, "x86_64").send(HOST, content)
        sizes = [entry.stat().st_size for entry in tmp_path.glob("*.batch")]
        batches = _spooled(spool)
    assert len(batches) > 1
    assert max(sizes) < wire.MAX_BATCH_BYTES
    assert sum(len(batch.fault_counts) for batch in batches) == len(counts)
    assert sum(len(batch.vms) for batch in batches) == len(vms)
    # A span counts as covered once all of it has arrived.
    assert [bool(batch.covered) for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert sum(loss.count for batch in batches for loss in batch.lost) == 1


def test_one_vm_with_more_than_a_batch_takes_is_cut_too(tmp_path: Path) -> None:
    vm = _vm(1)
    counts = [X86FaultCount(1000, vm.id, 0, "npf", word, 1) for word in range(100_000)]
    with Spool(tmp_path) as spool:
        Outbox(spool, "x86_64").send(HOST, Content(vms=[vm], fault_counts=counts))
        batches = _spooled(spool)
    assert len(batches) > 1
    assert {count.syndrome for batch in batches for count in batch.fault_counts} == set(range(100_000))
    assert sum(len(batch.fault_counts) for batch in batches) == 100_000


def test_what_the_spool_dropped_is_told_once(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=12 * 1024) as spool:
        outbox = Outbox(spool, "x86_64")
        for _ in range(10):
            outbox.send(HOST, Content())
        batches = _spooled(spool)
        dropped_still = spool.dropped_batches
    told = sum(loss.count for batch in batches for loss in batch.lost if loss.kind == "spool_batches")
    assert told + dropped_still == 10 - len(batches)
