"""Batches are numbered without a hole and cut to what the server takes."""

from pathlib import Path

from collector.content import Content
from collector.outbox import Outbox
from collector.spool import Spool
from faultmodel import wire
from faultmodel.arch.x86 import X86FaultCount
from faultmodel.record import Host, Loss, Span, Vm
from tests.batches import ledger_entry
from tests.collector.spooling import files

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
    content = Content(
        vms=vms,
        fault_counts=counts,
        ledger=[ledger_entry(vm.id, seen=16) for vm in vms],
        lost=[Loss("keys_full", 1)],
        covered=[Span(1, 2)],
    )
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


def test_parts_of_a_reading_are_numbered_anew_in_each(tmp_path: Path) -> None:
    vm = _vm(1)
    counts = [X86FaultCount(1000, vm.id, 0, "npf", word, 1) for word in range(10_000)]
    content = Content(vms=[vm], fault_counts=counts, ledger=[ledger_entry(vm.id, seen=10_000)])
    with Spool(tmp_path) as spool:
        outbox = Outbox(spool, "x86_64")
        for _ in range(2):
            outbox.send(HOST, content)
        batches = _spooled(spool)
    assert [batch.part for batch in batches] == [0, 1, 2, 0, 1, 2]
    assert [batch.sequence for batch in batches] == [0, 1, 2, 3, 4, 5]
    assert {count.syndrome for batch in batches[:3] for count in batch.fault_counts} == set(range(10_000))


def test_batches_say_which_counting_they_are_of(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        outbox = Outbox(spool, "x86_64")
        outbox.send(HOST, Content(), counting="c" * 32)
        outbox.send(HOST, Content())
        counted, waiting = _spooled(spool)
    assert counted.counting == "c" * 32
    # Nothing was counted: the stream stands for it.
    assert waiting.counting == waiting.stream


def test_the_cut_is_noted_once_all_parts_are_stored_and_before_any_is_sent(tmp_path: Path) -> None:
    vm = _vm(1)
    counts = [X86FaultCount(1000, vm.id, 0, "npf", word, 1) for word in range(10_000)]
    content = Content(vms=[vm], fault_counts=counts, ledger=[ledger_entry(vm.id, seen=10_000)])
    noted = []
    with Spool(tmp_path) as spool:
        Outbox(spool, "x86_64").send(
            *(HOST, content),
            cut=b"here",
            commit=lambda number: noted.append((number, len(files(tmp_path)), spool.backlog_batches)),
        )
        assert noted == [(3, 3, 3)]
        assert spool.resume(0) == (3, b"here")


def test_what_the_spool_dropped_is_told_once(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=12 * 1024) as spool:
        outbox = Outbox(spool, "x86_64")
        for _ in range(10):
            outbox.send(HOST, Content())
        batches = _spooled(spool)
        dropped_still = spool.dropped_batches
    told = sum(loss.count for batch in batches for loss in batch.lost if loss.kind == "spool_batches")
    assert told + dropped_still == 10 - len(batches)
