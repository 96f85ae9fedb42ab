"""What is pinned is taken over whole, or removed; nothing is left that nobody knows of."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.pins import Pins
from collector.probe.probes import Probes
from collector.probe.source import layout_digest
from collector.reader import Reader
from demo.exact import ExactGuest, Order
from tests.kernel.attached import attached, faults, own_vms, read

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def probes(headers_cache: Path) -> Iterator[Probes]:
    """Programs that count, to be pinned."""
    with attached(headers_cache) as probes:
        yield probes


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A BPF file system of the test's own, so that no running collector's pins are near."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def pins(tmp_path: Path, bpffs: Path) -> Iterator[Pins]:
    opened = Pins(tmp_path / "pins", bpffs, "host-1")
    yield opened
    # As the end of its process does.
    opened.release()


@pytest.fixture
def folder(probes: Probes, pins: Pins, bpffs: Path, tmp_path: Path) -> Path:
    """Where a set is pinned that a collector left behind."""
    assert pins.keep(probes, 0) == ""
    return bpffs / "kvmfaults" / (tmp_path / "pins").read_text()


def test_what_is_pinned_counts_on_and_is_taken_over(headers_cache: Path, pins: Pins) -> None:
    with attached(headers_cache) as probes:
        assert pins.keep(probes, 0) == ""
        counting = probes.last_cut().counting
    with ExactGuest(Order(write=101)) as guest:
        extra = guest.follow("unwatched").extra_faults
    left = pins.open(layout_digest())
    assert left is not None
    with left:
        reader = Reader(left)
        reading = read(reader, left)
    assert reader.counting == counting
    expected = 101 + extra.read + extra.write + extra.execute
    assert faults(reading, own_vms(reading)) == expected


def test_nothing_is_left_where_nothing_was_pinned(pins: Pins) -> None:
    assert pins.open(layout_digest()) is None
    assert pins.remove() is False


def test_what_is_removed_is_gone(pins: Pins, folder: Path) -> None:
    assert pins.remove() is True
    assert not folder.exists()
    assert pins.open(layout_digest()) is None
    assert pins.remove() is False


@pytest.mark.parametrize("lost", ["map-homes", "map-about", "program-kvm_userspace_exit", "link-*", "*"])
def test_a_set_that_is_not_whole_is_not_taken_over_but_removed(pins: Pins, folder: Path, lost: str) -> None:
    # As a collector leaves it that is killed while it pins, or while it removes what it had pinned.
    for path in folder.glob(lost):
        path.unlink()
    assert pins.open(layout_digest()) is None
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
    assert pins.open(layout_digest()) is None
    assert pins.remove() is False
    assert folder.exists()


def test_where_nothing_can_be_pinned_it_is_said_with_the_remedy(tmp_path: Path, probes: Probes) -> None:
    pins = Pins(tmp_path / "pins", tmp_path)
    refused = pins.keep(probes, 0)
    assert refused == f"{tmp_path} is no BPF file system: mount -t bpf -o mode=700 bpf {tmp_path}"
    assert pins.open(layout_digest()) is None


def test_what_was_left_is_not_taken_over_after_somebody_else_counted(
    pins: Pins, folder: Path, tmp_path: Path, probes: Probes
) -> None:
    # The next collector finds no bpffs and counts by itself: with what was left, faults would count twice.
    assert Pins(tmp_path / "pins", tmp_path).keep(probes, 0) != ""
    assert pins.open(layout_digest()) is None
    assert folder.exists()


@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o700), (0, 0o770), (0, 0o702)])
def test_nothing_is_pinned_or_opened_where_others_could_change_it(
    pins: Pins, folder: Path, probes: Probes, owner: int, mode: int
) -> None:
    os.chown(folder.parent, owner, -1)
    folder.parent.chmod(mode)
    assert pins.open(layout_digest()) is None
    assert pins.keep(probes, 0) == f"{folder.parent} can be changed by others: remove it"
    assert folder.exists()


def test_why_a_set_was_given_up_is_told_once_by_this_process_or_the_next(
    pins: Pins, folder: Path, tmp_path: Path
) -> None:
    (folder / "map-about").unlink()
    assert pins.open(layout_digest()) is None
    successor = Pins(tmp_path / "pins", tmp_path / "bpf")
    assert successor.take_reason() == "it does not say what it is"
    assert successor.take_reason() == ""


def test_a_bpffs_is_found_by_any_of_its_names(bpffs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bpffs)
    assert Pins(tmp_path / "pins", tmp_path / "link").why_not() == ""
