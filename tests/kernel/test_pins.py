# SPDX-License-Identifier: Apache-2.0
"""What is pinned is taken over whole, or removed; nothing is left that nobody knows of."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from collector.counting.pinned_sets import set_of
from collector.counting.pins import Pins
from collector.counting.reader import Reader
from collector.probe import compiled, syscall
from collector.probe.compiled import Concern, Layout
from collector.probe.handles import PERF
from collector.probe.layout import PROGRAMS_OF_STALLS, RecordLevel
from collector.probe.probes import Probes
from demo.exact import ExactGuest, Order
from faultmodel.kinds import LossKind
from tests.kernel.attached import attached, faults, mounted_bpffs, own_vms, read
from tests.product import TOP

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def probes(headers_cache: Path) -> Iterator[Probes]:
    """Programs that count, to be pinned."""
    with attached(headers_cache) as probes:
        yield probes


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A BPF file system of the test's own."""
    with mounted_bpffs(tmp_path / "bpf") as folder:
        yield folder


@pytest.fixture
def pins(tmp_path: Path, bpffs: Path) -> Iterator[Pins]:
    opened = Pins(tmp_path / "pins", bpffs, "host-1")
    yield opened
    # As the end of its process does.
    opened.release()


@pytest.fixture
def folder(probes: Probes, pins: Pins, bpffs: Path, tmp_path: Path) -> Path:
    """Where a set is pinned that a collector left behind."""
    assert pins.keep(probes, 0) is None
    return bpffs / "kvmfaults" / (tmp_path / "pins").read_text()


def test_what_is_pinned_counts_on_and_is_taken_over(headers_cache: Path, pins: Pins) -> None:
    with attached(headers_cache) as probes:
        assert pins.keep(probes, 0) is None
        counting = probes.last_checkpoint().counting
    with ExactGuest(Order(write=101)) as guest:
        extra = guest.follow("unwatched").extra_faults
    left = pins.open()
    assert left is not None
    with left:
        reader = Reader(left)
        reading = read(reader, left)
    assert reader.counting == counting
    expected = 101 + extra.read + extra.write + extra.execute
    assert faults(reading, own_vms(reading)) == expected


def test_programs_and_maps_of_another_concern_do_not_end_the_taking_over(
    probes: Probes, pins: Pins, folder: Path
) -> None:
    # As a later version pins them, with its own way to lay them out.
    handles = probes.handles
    name = next(iter(handles.links))
    syscall.pin(handles.maps["lost"], folder / "map-stalls")
    syscall.pin(handles.programs[name], folder / "program-stalls")
    syscall.pin(handles.links[name], folder / "link-stalls")
    table = syscall.open_map(handles.maps["layout"])
    layout = compiled.read(table)
    stalls = Concern(meaning=9, maps={"stalls": ("I", "Q")}, programs=("stalls",))
    compiled.write(table, msgspec.structs.replace(layout, concerns={**layout.concerns, "stalls": stalls}))
    try:
        left = pins.open()
        assert left is not None
        with left:
            assert left.snapshot().missed_runs == probes.snapshot().missed_runs
    finally:
        compiled.write(table, layout)


@pytest.mark.parametrize("text", [b"", b"{", b'{"version":1}', b'{"version":2}', b"\xff", b"[" * 16000])
def test_a_layout_that_is_damaged_ends_no_collector(
    probes: Probes, pins: Pins, folder: Path, text: bytes
) -> None:
    table = syscall.open_map(probes.handles.maps["layout"])
    layout = compiled.read(table)
    syscall.update(table, bytes(4), text.ljust(table.value_size, b"\0"))
    try:
        # Whoever sorts out what others have left reads it too.
        assert set_of(folder).read_ns() == 0
        assert pins.open() is None
    finally:
        compiled.write(table, layout)
    assert not folder.exists()
    assert pins.take_reason().startswith("how its maps are laid out cannot be read")


def test_a_set_that_lacks_a_program_is_not_read_on(probes: Probes, pins: Pins, folder: Path) -> None:
    # It would count less, and nothing would say so.
    name = next(iter(probes.handles.links))
    (folder / f"link-{name}").unlink()
    (folder / f"program-{name}").unlink()
    assert pins.open() is None
    assert pins.take_reason() == f"it has no program {name}"
    assert not folder.exists()


def _without_records(layout: Layout) -> Layout:
    return msgspec.structs.replace(layout, concerns={"counts": layout.concerns["counts"]})


def _with_other_records(layout: Layout) -> Layout:
    records = layout.concerns["records"]
    other = msgspec.structs.replace(records, meaning=records.meaning + 1)
    return msgspec.structs.replace(layout, concerns={**layout.concerns, "records": other})


def _with_fewer_fields(layout: Layout) -> Layout:
    record = layout.types["fault_record"]
    fields = {name: field for name, field in record.fields.items() if name != "memslot"}
    fewer = msgspec.structs.replace(record, fields=fields)
    return msgspec.structs.replace(layout, types={**layout.types, "fault_record": fewer})


@pytest.mark.alone
@pytest.mark.parametrize("change", [_without_records, _with_other_records, _with_fewer_fields])
def test_records_that_cannot_be_read_do_not_end_the_counts_and_are_reported_as_lost(
    headers_cache: Path, pins: Pins, change: Callable[[Layout], Layout]
) -> None:
    with attached(headers_cache) as probes:
        probes.record(RecordLevel.ALL, 0, {})
        assert pins.keep(probes, 0) is None
        with ExactGuest(Order(write=101, memory_fault=7, bare_error=5)) as guest:
            extra = guest.follow("unwatched").extra_faults
        table = syscall.open_map(probes.handles.maps["layout"])
        compiled.write(table, change(compiled.read(table)))
        left = pins.open()
        assert left is not None
        with left:
            reading = read(Reader(left), left)
            left.record(RecordLevel.SAMPLE, 0, {})
            (vm,) = own_vms(reading)
            left.forget([vm])
            assert vm not in left.vms()
    account = reading.accounts[vm]
    assert account.seen >= 101 + extra.read + extra.write + extra.execute
    assert (account.recorded, account.dropped) == (0, account.seen)
    assert (list(reading.faults), list(reading.exits)) == ([], [])
    assert reading.lost == {LossKind.EXIT_RECORDS: 12}


def test_a_format_of_a_later_version_is_refused_when_the_set_is_opened(
    probes: Probes, pins: Pins, folder: Path
) -> None:
    table = syscall.open_map(probes.handles.maps["layout"])
    layout = compiled.read(table)
    compiled.write(table, msgspec.structs.replace(layout, formats={**layout.formats, 9: "later"}))
    try:
        assert pins.open() is None
    finally:
        compiled.write(table, layout)
    assert not folder.exists()


def test_every_program_that_is_attached_counts(probes: Probes) -> None:
    named = {name.removeprefix(PERF) for name in probes.handles.programs}
    assert named - PROGRAMS_OF_STALLS == {*probes.views.programs}


def test_counts_that_mean_something_else_are_not_taken_over(probes: Probes, pins: Pins, folder: Path) -> None:
    table = syscall.open_map(probes.handles.maps["layout"])
    layout = compiled.read(table)
    counts = msgspec.structs.replace(layout.concerns["counts"], meaning=layout.concerns["counts"].meaning + 1)
    compiled.write(table, msgspec.structs.replace(layout, concerns={**layout.concerns, "counts": counts}))
    try:
        assert pins.open() is None
    finally:
        compiled.write(table, layout)
    assert not folder.exists()
    assert pins.take_reason() == "it is of another version, whose last counts this one cannot read"


def test_nothing_is_left_where_nothing_was_pinned(pins: Pins) -> None:
    assert pins.open() is None
    assert pins.remove() is False


def test_what_is_removed_is_gone(pins: Pins, folder: Path) -> None:
    assert pins.remove() is True
    assert not folder.exists()
    assert pins.open() is None
    assert pins.remove() is False


@pytest.mark.parametrize("lost", ["map-slots", "map-about", "program-kvm_userspace_exit", "link-*", "*"])
def test_a_set_that_is_not_whole_is_not_taken_over_but_removed(pins: Pins, folder: Path, lost: str) -> None:
    # As a collector leaves it that is killed while it pins, or while it removes what it had pinned.
    for path in folder.glob(lost):
        path.unlink()
    assert pins.open() is None
    assert not folder.exists()


def test_a_removal_that_was_cut_short_is_finished(pins: Pins, folder: Path, tmp_path: Path) -> None:
    name = (tmp_path / "pins").read_text()
    (folder / "link-kvm_userspace_exit").unlink()
    assert Pins(tmp_path / "pins", tmp_path / "bpf").remove() is True
    assert not folder.exists()
    assert name not in [path.name for path in folder.parent.iterdir()]


@pytest.mark.parametrize("name", [b"", bytes(32), b"\xff\xfe", b"../../..", b"a" * 31])
def test_a_damaged_name_means_nothing(pins: Pins, folder: Path, tmp_path: Path, name: bytes) -> None:
    (tmp_path / "pins").write_bytes(name)
    assert pins.open() is None
    assert pins.remove() is False
    assert folder.exists()


def test_where_nothing_can_be_pinned_it_is_said_with_the_remedy(tmp_path: Path, probes: Probes) -> None:
    pins = Pins(tmp_path / "pins", tmp_path)
    refused = pins.keep(probes, 0)
    assert refused is not None
    assert refused.found == f"{tmp_path} is no BPF file system"
    assert refused.remedy == f"mount -t bpf -o mode=700 bpf {tmp_path}"
    assert pins.open() is None


def test_what_was_left_is_not_taken_over_after_somebody_else_counted(
    pins: Pins, folder: Path, tmp_path: Path, probes: Probes
) -> None:
    # The next collector finds no bpffs and counts by itself: with what was left, faults would count twice.
    assert Pins(tmp_path / "pins", tmp_path).keep(probes, 0) is not None
    assert pins.open() is None
    assert folder.exists()


@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o700), (0, 0o770), (0, 0o702)])
def test_nothing_is_pinned_or_opened_where_others_could_change_it(
    pins: Pins, folder: Path, probes: Probes, owner: int, mode: int
) -> None:
    os.chown(folder.parent, owner, -1)
    folder.parent.chmod(mode)
    assert pins.open() is None
    refused = pins.keep(probes, 0)
    assert refused is not None
    assert (refused.found, refused.remedy) == (f"{folder.parent} can be changed by others", "remove it")
    assert folder.exists()


def test_why_a_set_was_given_up_is_reported_once_by_this_process_or_the_next(
    pins: Pins, folder: Path, tmp_path: Path
) -> None:
    (folder / "map-about").unlink()
    assert pins.open() is None
    successor = Pins(tmp_path / "pins", tmp_path / "bpf")
    assert successor.take_reason() == "it has no map about, which says what it is"
    assert successor.take_reason() == ""


def test_a_bpffs_is_found_by_any_of_its_names(bpffs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bpffs)
    assert Pins(tmp_path / "pins", tmp_path / "link").why_not() is None


@pytest.fixture
def first(probes: Probes, tmp_path: Path, bpffs: Path) -> Pins:
    """What the collector of the data directory ``first`` left behind when it was killed."""
    (tmp_path / "first").mkdir()
    pins = Pins(tmp_path / "first" / "pins", bpffs, "host-1")
    assert pins.keep(probes, 7) is None
    pins.release()
    return pins


def _second(tmp_path: Path, bpffs: Path) -> Pins:
    (tmp_path / "second").mkdir(exist_ok=True)
    return Pins(tmp_path / "second" / "pins", bpffs, "host-2")


def test_a_copy_of_a_data_directory_takes_nothing_from_the_original(
    first: Pins, tmp_path: Path, bpffs: Path
) -> None:
    second = _second(tmp_path, bpffs)
    shutil.copy(tmp_path / "first" / "pins", tmp_path / "second" / "pins")
    assert second.open() is None
    assert second.remove() is False
    left = first.open()
    assert left is not None
    left.close()
    assert first.remove() is True


def test_a_data_directory_that_was_moved_keeps_its_set(first: Pins, tmp_path: Path, bpffs: Path) -> None:
    (tmp_path / "first").rename(tmp_path / "second")
    second = _second(tmp_path, bpffs)
    left = second.open()
    assert left is not None
    left.close()
    assert second.remove() is True


def test_what_was_taken_over_stays_with_whoever_did(first: Pins, tmp_path: Path, bpffs: Path) -> None:
    (tmp_path / "first").rename(tmp_path / "gone")
    second = _second(tmp_path, bpffs)
    (lost,) = second.others()
    left = second.adopt(lost, 41)
    assert left is not None
    # Killed at once, a successor finds a batch's number of its own spool, and whose counts they are.
    assert left.last_checkpoint().batch == 41
    assert second.host_of_predecessor() == "host-1"
    left.close()
    (tmp_path / "gone").rename(tmp_path / "first")
    detached = subprocess.run(
        [sys.executable, "-m", "collector", "detach", "--data-dir", tmp_path / "first", "--bpffs", bpffs],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    assert detached.stdout == (
        "removed 0 sets of programs and maps\nleft 1 set that a running collector reads\n"
    )
    second.release()
    assert first.open() is None
    successor = _second(tmp_path, bpffs)
    left = successor.open()
    assert left is not None
    left.close()
    assert successor.remove() is True


@pytest.mark.parametrize("missing", ["map-about", "map-slots"])
def test_what_cannot_be_taken_over_is_left_as_it_is(
    first: Pins, tmp_path: Path, bpffs: Path, missing: str
) -> None:
    (tmp_path / "first" / "pins").rename(tmp_path / "first" / "other")
    second = _second(tmp_path, bpffs)
    (lost,) = second.others()
    (lost.folder / missing).unlink()
    assert second.adopt(lost, 41) is None
    assert not (tmp_path / "second" / "pins").exists()
    assert not lost.is_read()
    assert lost.remove() is True
