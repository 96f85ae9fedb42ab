# SPDX-License-Identifier: Apache-2.0
"""Batches as bytes: what survives, and what is refused."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultmodel import arch, wire
from faultmodel.arch.base import NO_FORMAT, Architecture
from faultmodel.errors import UnknownVersionError, WireError
from faultmodel.kinds import CheckState, EventKind, HostState, LossKind, ProbeState, TimesOf
from faultmodel.record import (
    U64_MAX,
    Check,
    Collector,
    EventFacts,
    ExitCount,
    ExitKind,
    Host,
    HostEvent,
    Loss,
    Probe,
    Span,
    Vm,
)
from faultmodel.sections import MAX_ROWS, OF_VMS, SECTIONS
from faultmodel.wire import Batch
from tests.batches import START_NS, VM_ID, later_sections, make_batch, make_host, stall_count
from tests.ledgers import unrecorded_ledger

VM = "00000000000000aa"
OTHER_VM = "00000000000000bb"
each_architecture = pytest.mark.parametrize(
    "architecture", arch.architectures().values(), ids=arch.architectures()
)


def fault_count(architecture: Architecture, *, word: int = 7, vm: str = VM, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "bucket_ms": 1000,
        "vm": vm,
        "vcpu": 0,
        architecture.word_field: word,
        "faults": 3,
    }
    if architecture.format_field is not None:
        values[architecture.format_field] = next(iter(architecture.formats))
    return architecture.fault_count(**(values | fields))


def memory_fault(architecture: Architecture, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "time_ns": 5,
        "monotonic_ns": 5,
        "vm": VM,
        "vcpu": 0,
        "kind": ExitKind.MEMORY_FAULT,
        "reason": 39,
        "errno": 14,
        "flags": 8,
        "gpa": U64_MAX - 0xFFF,
        "size": 4096,
    }
    return architecture.exit(**(values | fields))


def batch(architecture: Architecture, **changes: Any) -> Batch:
    whole = Batch(
        host=Host(name="host", boot_id="boot", arch=architecture.name, state=HostState.ATTACHED),
        stream="0123456789abcdef" * 2,
        sequence=0,
        arch=architecture.name,
        counting="fedcba9876543210" * 2,
        covered=(Span(0, 10**9),),
        vms=(Vm(id=VM, pid=1, started_ns=0, name="Gäst"),),
        fault_counts=(fault_count(architecture),),
        exit_counts=(ExitCount(1000, VM, 0, 39, 14, 1),),
        exits=(memory_fault(architecture),),
        ledger=unrecorded_ledger(0, (fault_count(architecture),), {}),
        lost=(Loss(LossKind.KEYS_FULL, 1),),
    )
    return replace(whole, **changes)


X86 = arch.get("x86_64")


def altered(**fields: object) -> bytes:
    """A batch whose envelope has other values, also such that an encoder of ours would not write."""
    content: dict[str, object] = msgspec.msgpack.decode(wire.encode(batch(X86)))
    return msgspec.msgpack.encode(content | fields)


@each_architecture
def test_a_batch_survives(architecture: Architecture) -> None:
    assert wire.decode(wire.encode(batch(architecture))) == batch(architecture)


@each_architecture
def test_the_largest_word_survives(architecture: Architecture) -> None:
    whole = batch(architecture, fault_counts=(fault_count(architecture, word=U64_MAX),))
    assert wire.decode(wire.encode(whole)) == whole


@each_architecture
def test_an_exit_without_a_fault_before_it_survives(architecture: Architecture) -> None:
    bare = memory_fault(architecture, kind=ExitKind.BARE_ERROR, reason=0, flags=None, gpa=None, size=None)
    assert wire.decode(wire.encode(batch(architecture, exits=(bare,)))).exits == (bare,)


def test_an_empty_batch_survives() -> None:
    empty = batch(X86, covered=(), vms=(), fault_counts=(), exit_counts=(), exits=(), ledger=(), lost=())
    assert wire.decode(wire.encode(empty)) == empty


@each_architecture
def test_a_batch_without_the_fields_that_came_later_has_their_defaults(architecture: Architecture) -> None:
    content: dict[str, Any] = msgspec.msgpack.decode(wire.encode(batch(architecture)))
    del content["fault_counts"][0][-2:]
    decoded = wire.decode(msgspec.msgpack.encode(content))
    assert (decoded.fault_counts[0].nested, decoded.fault_counts[0].context_unknown) == (0, 0)
    assert decoded.exits[0].nested is None


def test_rows_of_every_section_survive() -> None:
    whole = make_batch(**later_sections())
    assert all(section.rows(whole) for section in SECTIONS if section.since == wire.VERSION)
    assert wire.decode(wire.encode(whole)) == whole


def test_a_batch_without_the_sections_that_came_later_has_none_of_them() -> None:
    content: dict[str, Any] = msgspec.msgpack.decode(wire.encode(make_batch(**later_sections())))
    later = [section for section in SECTIONS if section.since]
    assert {section.since for section in later} == {wire.VERSION}
    for section in later:
        del content[section.name]
    read = wire.decode(msgspec.msgpack.encode(content))
    assert not any(section.rows(read) for section in later)


@pytest.mark.parametrize(
    ("section", "place", "value", "read"),
    [
        ("stalls", 3, "teleported", "unknown"),
        ("waits", 2, "godot", "other"),
        ("causes", 3, "fate", "unknown"),
    ],
)
def test_a_word_of_a_later_collector_is_read_as_one_that_is_not_known(
    section: str, place: int, value: str, read: str
) -> None:
    content: dict[str, Any] = msgspec.msgpack.decode(wire.encode(make_batch(**later_sections())))
    content[section][0][place] = value
    decoded = wire.decode(msgspec.msgpack.encode(content))
    (row, *_) = getattr(decoded, section)
    assert getattr(row, row.__struct_fields__[place]) == read


@pytest.mark.parametrize(
    ("section", "place", "value"),
    [
        ("stalls", 2, "gaze"),
        ("stalls", 4, 1),
        ("stalls", 5, 32),
        ("stalls", 5, -3),
        ("stalls", 10, 2**62 + 1),
        ("vcpu_stalls", 3, -1),
        ("waits", 3, "d" * 257),
        ("pressures", 2, None),
        ("host_pressures", 0, -1),
        ("causes", 6, "e" * 1025),
        ("memslots", 4, -1),
        ("memslots", 11, "yes"),
        ("kvm_counts", 9, 0.5),
        ("vm_pages", 8, "none"),
        ("livelocks", 6, 1),
        ("outstanding", 3, -1),
        ("outstanding", 4, "high"),
        ("outstanding_looks", 1, -1),
        ("livelocks", 7, -1),
        ("livelocks", 13, "yes"),
    ],
)
def test_a_figure_out_of_bounds_or_of_another_type_is_refused(
    section: str, place: int, value: object
) -> None:
    content: dict[str, Any] = msgspec.msgpack.decode(wire.encode(make_batch(**later_sections())))
    content[section][0][place] = value
    with pytest.raises(WireError, match=section):
        wire.decode(msgspec.msgpack.encode(content))


@pytest.mark.parametrize("name", sorted(section.name for section in OF_VMS if section.since))
def test_no_section_names_a_vm_that_is_not_described(name: str) -> None:
    rows: dict[str, Any] = {name: tuple(later_sections(OTHER_VM)[name])}
    with pytest.raises(WireError, match=f"counts for VM {OTHER_VM} and does not describe it"):
        wire.decode(wire.encode(replace(make_batch(**later_sections()), **rows)))


def test_stalls_that_do_not_balance_are_refused() -> None:
    whole = make_batch(**later_sections())
    with pytest.raises(WireError, match=f"stall ledger of VM {VM_ID} does not balance"):
        wire.decode(wire.encode(replace(whole, stalls=(*whole.stalls, stall_count()))))


def test_a_field_of_a_later_collector_is_ignored() -> None:
    assert wire.decode(altered(weather="fine")) == batch(X86)


@each_architecture
def test_truncated_bytes_are_refused_at_every_length(architecture: Architecture) -> None:
    whole = wire.encode(batch(architecture))
    for length in range(len(whole)):
        with pytest.raises(WireError):
            wire.decode(whole[:length])


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(WireError, match="not a batch"):
        wire.decode(wire.encode(batch(X86)) + b"\xc0")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(data)


@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_gives_another_batch_or_an_error(position: int, value: int) -> None:
    data = bytearray(wire.encode(batch(X86)))
    data[position % len(data)] = value
    try:
        decoded = wire.decode(bytes(data))
    except WireError:
        return
    assert isinstance(decoded, Batch)


@pytest.mark.parametrize(
    "data",
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 100_000],
    ids=["huge list", "huge map", "huge bytes", "deep nesting"],
)
def test_bytes_that_promise_more_than_they_hold_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(data)


def test_a_list_that_promises_more_than_it_holds_is_refused() -> None:
    whole = wire.encode(batch(X86, fault_counts=()))
    promised = whole.replace(b"fault_counts\x90", b"fault_counts\xdd\x7f\xff\xff\xff")
    assert promised != whole
    with pytest.raises(WireError):
        wire.decode(promised)


def test_a_batch_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(WireError, match="8388609 bytes, more than the 8388608 allowed"):
        wire.decode(bytes(wire.MAX_BATCH_BYTES + 1))


def test_too_many_items_are_refused() -> None:
    with pytest.raises(WireError, match="length <= 200000"):
        wire.decode(altered(covered=[{"from_ns": 0, "to_ns": 0}] * (MAX_ROWS + 1)))


@pytest.mark.parametrize("same_shape", [False, True])
def test_another_version_is_refused_for_being_another(same_shape: bool) -> None:
    later = wire.VERSION + 1
    data = (
        altered(version=later) if same_shape else msgspec.msgpack.encode({"version": later, "shape": "new"})
    )
    with pytest.raises(UnknownVersionError, match=f"version {later}, this server reads versions 2, 3, 4, 5"):
        wire.decode(data)


@pytest.mark.parametrize("name", ["vax", "arm64", "X86_64", ""])
def test_an_architecture_goes_by_its_one_name(name: str) -> None:
    known = "aarch64, riscv64, x86_64"
    with pytest.raises(UnknownVersionError, match=f"architecture '{name}'; this server knows {known}"):
        wire.decode(altered(arch=name))


@each_architecture
def test_records_of_another_architecture_are_refused(architecture: Architecture) -> None:
    other = next(item for item in arch.architectures().values() if item is not architecture)
    with pytest.raises(WireError):
        wire.decode(wire.encode(batch(architecture, fault_counts=(fault_count(other),), exits=(7,))))


@each_architecture
@pytest.mark.parametrize("part", ["fault_counts", "exit_counts", "exits"])
def test_a_vm_that_is_not_described_is_refused(architecture: Architecture, part: str) -> None:
    items = {
        "fault_counts": fault_count(architecture, vm=OTHER_VM),
        "exit_counts": ExitCount(1000, OTHER_VM, 0, 6, 0, 1),
        "exits": memory_fault(architecture, vm=OTHER_VM),
    }
    with pytest.raises(WireError, match=f"counts for VM {OTHER_VM} and does not describe it"):
        wire.decode(wire.encode(batch(architecture, **{part: (items[part],)})))


def test_a_text_that_is_no_vms_id_is_refused_and_not_repeated_at_length() -> None:
    with pytest.raises(WireError, match=r"length <= 16 .* in fault_counts") as refused:
        wire.decode(wire.encode(batch(X86, fault_counts=(fault_count(X86, vm="a" * 1_000_000),))))
    assert len(str(refused.value)) < 200


def test_counts_of_vms_that_take_turns_balance_together() -> None:
    turns = [VM, OTHER_VM, VM, OTHER_VM, OTHER_VM]
    counts = tuple(fault_count(X86, vm=vm, word=word) for word, vm in enumerate(turns))
    vms = (*batch(X86).vms, msgspec.structs.replace(batch(X86).vms[0], id=OTHER_VM))
    whole = batch(X86, vms=vms, fault_counts=counts, ledger=unrecorded_ledger(0, counts, {}))

    assert {entry.vm: entry.counted for entry in whole.ledger} == {VM: 6, OTHER_VM: 9}
    assert wire.decode(wire.encode(whole)) == whole


@pytest.mark.parametrize("name", ["ept", "npf", "pferr", NO_FORMAT])
def test_a_format_of_the_architecture_or_none_is_accepted(name: str) -> None:
    whole = batch(X86, fault_counts=(fault_count(X86, format=name),), exits=(memory_fault(X86, format=name),))
    assert wire.decode(wire.encode(whole)) == whole


@pytest.mark.parametrize("name", ["", "EPT", "esr_el2", "ept "])
@pytest.mark.parametrize("part", ["fault_counts", "exits"])
def test_a_format_that_the_architecture_does_not_have_is_refused(name: str, part: str) -> None:
    items = {"fault_counts": fault_count(X86, format=name), "exits": memory_fault(X86, format=name)}
    with pytest.raises(
        UnknownVersionError, match=f"format '{name}'; this server knows ept, npf, pferr, none"
    ):
        wire.decode(wire.encode(batch(X86, **{part: (items[part],)})))


def test_a_part_of_a_reading_survives() -> None:
    assert wire.decode(wire.encode(batch(X86, sequence=7, part=2))).part == 2


def test_a_part_that_had_to_follow_more_batches_than_there_were_is_refused() -> None:
    with pytest.raises(WireError, match="batch 1 cannot be part 2 of a reading"):
        wire.decode(wire.encode(batch(X86, sequence=1, part=2)))


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(WireError, match="ends at 1 before it begins at 2"):
        wire.decode(wire.encode(batch(X86, covered=(Span(2, 1),))))


@pytest.mark.parametrize(
    "fields",
    [
        {"word": -1},
        {"vcpu": -1},
        {"vcpu": 2**32},
        {"faults": -1},
        {"faults": 2**63},
        {"faults": 1.0},
        {"faults": True},
        {"faults": "1"},
        {"faults": None},
        {"bucket_ms": 1.5},
        {"vm": "AA" * 8},
        {"vm": VM + "\n"},
        {"vm": "aa"},
    ],
    ids=str,
)
def test_a_count_out_of_bounds_or_of_another_type_is_refused(fields: dict[str, Any]) -> None:
    vm = fields.get("vm", VM)
    described = (msgspec.structs.replace(batch(X86).vms[0], id=vm),)
    with pytest.raises(WireError, match=r"fault_counts|vms"):
        wire.decode(wire.encode(batch(X86, vms=described, fault_counts=(fault_count(X86, **fields),))))


@pytest.mark.parametrize(
    "fields",
    [
        {"sequence": -1},
        {"sequence": 0.0},
        {"sequence": True},
        {"stream": "0" * 31},
        {"stream": "0" * 32 + "\n"},
        {"version": 1.0},
        {"version": "1"},
        {"host": None},
        {"host": {"name": "h" * 257, "boot_id": "b", "arch": "x86_64", "state": "attached"}},
        {"covered": {}},
        {"fault_counts": {}},
        {"exits": None},
        {"exit_counts": [[0, VM, 0, 0, -14, 1]]},
        {"lost": [{"kind": "keys_full", "count": float("nan")}]},
    ],
    ids=str,
)
def test_a_batch_out_of_bounds_or_of_another_type_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError):
        wire.decode(altered(**fields))


@pytest.mark.parametrize("field", ["version", "host", "stream", "arch", "fault_counts", "exits", "lost"])
def test_a_batch_that_lacks_a_field_is_refused_with_its_name(field: str) -> None:
    content: dict[str, object] = msgspec.msgpack.decode(wire.encode(batch(X86)))
    del content[field]
    with pytest.raises(WireError, match=f"missing required field `{field}`"):
        wire.decode(msgspec.msgpack.encode(content))


def test_text_that_is_not_utf_8_is_refused() -> None:
    data = wire.encode(batch(X86)).replace("Gäst".encode(), b"G\xff\xffst")
    with pytest.raises(WireError, match="not a batch"):
        wire.decode(data)


def test_a_batch_that_cannot_be_read_is_known_by_its_name() -> None:
    whole = batch(X86)
    name = wire.BatchName(whole.host.name, whole.stream, whole.sequence)
    assert wire.name_of(wire.encode(whole)) == name
    assert wire.name_of(altered(version=9, covered=None, what_is_new=[1])) == name
    for data in (b"", b"\xc1", b"\x80", wire.encode(whole)[:-1], altered(stream="x"), altered(host="h")):
        assert wire.name_of(data) is None


def test_what_is_sent_of_a_host_without_end_is_cut_and_that_is_said() -> None:
    check = Check(name="pins", state=CheckState.OK, found="")
    probe = Probe(tracepoint="kvm:kvm_page_fault", state=ProbeState.ATTACHED)
    facts = EventFacts(moved=(TimesOf.ENDS, TimesOf.COUNTS) * 1000)
    event = HostEvent(time_ns=START_NS, kind=EventKind.TIMES_MOVED, facts=facts)
    sent = make_host(
        probes=(probe,) * 300, checks=(check,) * 70, collector=Collector(capabilities=("BPF",) * 65)
    )
    read = wire.decode(wire.encode(make_batch(host=sent, events=[event])))
    assert (len(read.host.probes), read.host.checks[:-1]) == (256, (check,) * 64)
    assert read.host.collector == Collector(capabilities=("BPF",) * 64)
    said = read.host.checks[-1]
    assert (said.name, said.state) == ("left_out", CheckState.LACKING)
    assert said.found.endswith("left out are 44 probes, 6 checks, 1 capabilities")
    assert read.events[0].facts == EventFacts(moved=(TimesOf.ENDS, TimesOf.COUNTS))
    few = make_batch(host=make_host(probes=(probe,) * 256, checks=(check,) * 64))
    assert wire.decode(wire.encode(few)).host == few.host
