# SPDX-License-Identifier: Apache-2.0
"""Batches are numbered without a hole and cut to what the server takes."""

import os
from collections import Counter
from pathlib import Path

import msgspec

from collector.batches.outbox import Outbox
from collector.spool.aside import Reason
from collector.spool.queue import Spool
from faultmodel import wire
from faultmodel.arch.x86 import X86FaultCount
from faultmodel.kinds import HostState, LossKind
from faultmodel.record import Host, Loss, Span, Vm
from faultmodel.sections import Content
from tests.batches import START_MS, ledger_entry
from tests.collector.spooling import BLOCK, files

HOST = Host(name="h", boot_id="b", arch="x86_64", state=HostState.ATTACHED)


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
        lost=[Loss(LossKind.KEYS_FULL, 1)],
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
            checkpoint=b"here",
            commit=lambda number: noted.append((number, len(files(tmp_path)), spool.backlog_batches)),
        )
        assert noted == [(3, 3, 3)]
        assert spool.resume(0) == (3, b"here")


def test_what_the_spool_dropped_is_reported_once(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=12 * 1024) as spool:
        outbox = Outbox(spool, "x86_64")
        for _ in range(10):
            outbox.send(HOST, Content())
        batches = _spooled(spool)
        dropped_still = spool.dropped_batches
    reported = sum(loss.count for batch in batches for loss in batch.lost if loss.kind == "spool_batches")
    assert reported + dropped_still == 10 - len(batches)


def _reading(vm: Vm, *, seen: int, seen_total: int) -> Content:
    count = X86FaultCount(START_MS, vm.id, 0, "npf", 0x100000006, seen)
    return Content(
        vms=[vm],
        fault_counts=[count] if seen else [],
        ledger=[ledger_entry(vm.id, seen=seen, seen_total=seen_total)] if seen else [],
        covered=[Span(START_MS * 1_000_000, START_MS * 1_000_000 + 10**9)],
    )


def _send(spool: Spool, *readings: Content) -> None:
    outbox = Outbox(spool, "x86_64")
    for reading in readings:
        outbox.send(HOST, reading, counting="c" * 32)


def _missing(batches: list[wire.Batch]) -> dict[tuple[str, str], int]:
    """Derive, as the server does, what was seen of each VM by each counting and is in no batch."""
    totals: dict[tuple[str, str], int] = {}
    stored: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        for entry in batch.ledger:
            key = batch.counting, entry.vm
            totals[key] = max(totals.get(key, 0), entry.seen_total)
            stored[key] += entry.seen
    return {key: total - stored[key] for key, total in totals.items() if total != stored[key]}


def test_what_a_full_spool_dropped_of_a_vm_that_is_gone_is_reported(tmp_path: Path) -> None:
    gone, there = _vm(1), _vm(2)
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        _send(spool, _reading(gone, seen=7, seen_total=12))
        _send(spool, *(_reading(there, seen=1, seen_total=total) for total in (1, 2)))
        _spooled(spool)
        _send(spool, _reading(there, seen=1, seen_total=3))
        resent, last = _spooled(spool)
        assert spool.pending_notices == {}
    assert _missing([resent]) == {("c" * 32, gone.id): 12}
    assert (resent.vms[0].pid, resent.fault_counts, resent.lost) == (gone.pid, (), ())
    # It says when, and covers nothing.
    assert resent.covered == (Span(START_MS * 1_000_000, START_MS * 1_000_000),)
    assert (last.part, last.lost) == (0, (Loss(LossKind.SPOOL_BATCHES, 1),))


def test_a_vm_that_is_seen_again_needs_no_drop_notice(tmp_path: Path) -> None:
    vm = _vm(1)
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        _send(spool, *(_reading(vm, seen=1, seen_total=total) for total in range(1, 6)))
        assert _missing(_spooled(spool)) == {("c" * 32, vm.id): 3}


def test_what_a_damaged_batch_had_is_reported_if_its_front_is_whole(tmp_path: Path) -> None:
    vm = _vm(1)
    with Spool(tmp_path) as spool:
        _send(spool, _reading(vm, seen=7, seen_total=7))
        (damaged,) = files(tmp_path)
        os.truncate(damaged, damaged.stat().st_size // 2)
        assert _spooled(spool) == []
    with Spool(tmp_path) as spool:
        _send(spool, Content())
        assert _missing(_spooled(spool)) == {("c" * 32, vm.id): 7}
        _send(spool, Content())
        assert _missing(_spooled(spool)) == {}


def test_a_drop_notice_is_sent_again_where_its_batch_is_dropped_too(tmp_path: Path) -> None:
    vms = [_vm(number) for number in range(1, 9)]
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        _send(spool, *(_reading(vm, seen=vm.pid, seen_total=vm.pid) for vm in vms))
        batches = _spooled(spool)
        _send(spool, Content())
        batches += _spooled(spool)
    stored = {count.vm for batch in batches for count in batch.fault_counts}
    assert _missing(batches) == {("c" * 32, vm.id): vm.pid for vm in vms if vm.id not in stored}


def test_what_was_dropped_is_reported_as_of_its_counting_and_boot(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        _send(spool, _reading(_vm(1), seen=7, seen_total=7))
        (damaged,) = files(tmp_path)
        os.truncate(damaged, damaged.stat().st_size // 2)
        assert _spooled(spool) == []
        now = msgspec.structs.replace(HOST, boot_id="later")
        Outbox(spool, "x86_64").send(now, _reading(_vm(1), seen=2, seen_total=2), counting="d" * 32)
        resent, reading = _spooled(spool)
    assert (resent.host, resent.counting) == (HOST, "c" * 32)
    assert (reading.host, reading.counting) == (now, "d" * 32)
    assert _missing([resent, reading]) == {("c" * 32, _vm(1).id): 7}


def test_the_end_of_a_vm_is_reported_where_its_batch_was_dropped(tmp_path: Path) -> None:
    vm = msgspec.structs.replace(_vm(1), ended_ns=5)
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        _send(spool, _reading(vm, seen=0, seen_total=0), Content())
        _spooled(spool)
    with Spool(tmp_path) as spool:
        _send(spool, Content())
        assert [described.ended_ns for batch in _spooled(spool) for described in batch.vms] == [5]


def test_what_the_server_refused_is_not_reported_while_it_is_kept(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        _send(spool, _reading(_vm(1), seen=7, seen_total=7))
        refused = spool.oldest()
        assert refused is not None
        spool.put_aside(refused.number, Reason("400 damaged", "damaged"))
        _send(spool, Content())
        assert [batch.vms for batch in _spooled(spool)] == [()]


def test_drop_notices_do_not_grow_while_nothing_can_be_stored(tmp_path: Path) -> None:
    vm = _vm(1)
    with Spool(tmp_path, max_bytes=1) as spool:
        _send(spool, *(_reading(vm, seen=1, seen_total=total) for total in range(1, 6)))
        _send(spool, *(Content() for _ in range(5)))
        assert len(spool.pending_notices) == 1
    with Spool(tmp_path) as spool:
        _send(spool, Content())
        assert _missing(_spooled(spool)) == {("c" * 32, vm.id): 5}
