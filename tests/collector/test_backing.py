# SPDX-License-Identifier: Apache-2.0
"""What is behind a memslot, and in what pages it could be mapped."""

import stat
from pathlib import Path

import pytest

from collector.counting.backing import PageSizes, backing_of, huge_page_settings, page_sizes
from collector.probe.looks import LookedMemslot
from collector.probe.mappings import Mapping

PAGE = 4096
M2, G1 = 2 << 20, 1 << 30
AT = 0x7F00_0000_0000
RW, SHARED, PFN, HUGETLB, WANTED, REFUSED = 0x3, 0x8, 0x400, 0x400000, 0x20000000, 0x40000000
FILE, CHARACTER = stat.S_IFREG | 0o600, stat.S_IFCHR | 0o600
ALWAYS = {"enabled": "always", "shmem_enabled": "always"}
MADVISE = {"enabled": "madvise", "shmem_enabled": "madvise"}


def _mapping(
    size: int, *, at: int = AT, flags: int = RW, mode: int = 0, path: str = "", page_bytes: int = PAGE
) -> Mapping:
    return Mapping(
        start=at,
        end=at + size,
        flags=flags,
        offset=8 * PAGE if mode else 0,
        userfaultfd=0,
        mode=mode,
        page_bytes=page_bytes,
        path=path,
    )


def _memslot(size: int, *, gpa: int = 0, at: int = AT) -> LookedMemslot:
    return LookedMemslot(gpa // PAGE, size // PAGE, at, 0, 1, 0)


@pytest.mark.parametrize(
    ("mapping", "backing", "file"),
    [
        (_mapping(M2), "anonymous", ""),
        (_mapping(M2, mode=FILE, path="/dev/zero (deleted)", flags=RW | SHARED), "anonymous", "/dev/zero"),
        (_mapping(M2, mode=CHARACTER, path="/dev/zero"), "anonymous", "/dev/zero"),
        (_mapping(M2, mode=FILE, path="/memfd:ram (deleted)", flags=RW | SHARED), "memfd", "/memfd:ram"),
        (_mapping(M2, mode=FILE, path="/srv/ram.img", flags=RW | SHARED), "file", "/srv/ram.img"),
        (_mapping(M2, mode=FILE, path="/srv/ram (deleted)"), "file", "/srv/ram (deleted)"),
        (
            _mapping(M2, mode=FILE, path="/anon_hugepage (deleted)", flags=HUGETLB),
            "hugetlb",
            "/anon_hugepage",
        ),
        (_mapping(M2, mode=FILE, path="/dev/hugepages/vm", flags=HUGETLB), "hugetlb", "/dev/hugepages/vm"),
        (_mapping(M2, mode=FILE, path="/memfd:ram (deleted)", flags=HUGETLB), "hugetlb", "/memfd:ram"),
        (_mapping(M2, mode=FILE, path="anon_inode:[kvm-gmem]"), "guest_memfd", "anon_inode:[kvm-gmem]"),
        (_mapping(M2, mode=CHARACTER, path="/dev/vfio/7", flags=PFN), "device", "/dev/vfio/7"),
        (_mapping(M2, mode=CHARACTER, path="/dev/dri/card0"), "device", "/dev/dri/card0"),
        (_mapping(M2, mode=FILE, path="/dmabuf:"), "device", "/dmabuf:"),
        (_mapping(M2, mode=FILE, path="/sys/devices/pci0/resource0", flags=PFN), "device", None),
    ],
)
def test_a_mapping_has_one_kind(mapping: Mapping, backing: str, file: str | None) -> None:
    found = backing_of(_memslot(M2), [mapping])
    assert found.backing == backing
    if file is not None:
        assert found.file == file


def test_the_offset_is_that_of_the_memslots_beginning() -> None:
    mapping = _mapping(M2, mode=FILE, path="/srv/ram")
    assert backing_of(_memslot(4 * PAGE, at=AT + PAGE), [mapping]).offset == 9 * PAGE


def test_of_a_memslot_that_begins_where_nothing_is_mapped_no_file_is_said() -> None:
    later = _mapping(M2, at=AT + 16 * PAGE, mode=FILE, path="/srv/ram.img", flags=RW | SHARED)
    found = backing_of(_memslot(M2), [later])
    assert (found.backing, found.file, found.offset, found.permissions) == ("mixed", "", None, "rw-s")


def test_a_password_in_a_files_name_stays_on_the_host() -> None:
    mapping = _mapping(M2, mode=FILE, path="/srv/ram?password=hunter2")
    assert "hunter2" not in backing_of(_memslot(M2), [mapping]).file


def test_a_part_of_another_kind_is_said() -> None:
    halves = [_mapping(M2), _mapping(M2, at=AT + M2, mode=FILE, path="/srv/ram", flags=0)]
    whole = backing_of(_memslot(2 * M2), halves)
    assert (whole.backing, whole.permissions) == ("mixed", "rw-p,---p")
    assert backing_of(_memslot(M2), halves).backing == "anonymous"
    assert backing_of(_memslot(M2, at=AT + M2), halves).backing == "file"
    assert backing_of(_memslot(2 * M2), halves[:1]).backing == "mixed", "a half is not mapped"
    assert backing_of(_memslot(M2, at=AT + 8 * M2), halves).backing == "none"


@pytest.mark.parametrize(
    ("memslot", "mapping", "settings", "expected"),
    [
        (_memslot(2 * M2), _mapping(2 * M2), ALWAYS, PageSizes(0, 2, 0)),
        (_memslot(2 * M2), _mapping(2 * M2), MADVISE, PageSizes(1024, 0, 0)),
        (_memslot(2 * M2), _mapping(2 * M2, flags=RW | WANTED), MADVISE, PageSizes(0, 2, 0)),
        (_memslot(2 * M2), _mapping(2 * M2, flags=RW | REFUSED), ALWAYS, PageSizes(1024, 0, 0)),
        # The guest's addresses are aligned otherwise than the host's.
        (_memslot(2 * M2, gpa=PAGE), _mapping(2 * M2), ALWAYS, PageSizes(1024, 0, 0)),
        # Both begin in the middle of a large page.
        (_memslot(M2, gpa=PAGE, at=AT + PAGE), _mapping(2 * M2), ALWAYS, PageSizes(512, 0, 0)),
        (_memslot(2 * M2, gpa=M2 - PAGE, at=AT + M2 - PAGE), _mapping(4 * M2), ALWAYS, PageSizes(512, 1, 0)),
        (_memslot(G1 + M2), _mapping(G1 + M2, flags=HUGETLB, page_bytes=G1), MADVISE, PageSizes(0, 1, 1)),
        (_memslot(G1), _mapping(G1, flags=HUGETLB, page_bytes=M2), MADVISE, PageSizes(0, 512, 0)),
        (_memslot(M2), _mapping(M2, mode=FILE, path="/srv/ram"), ALWAYS, PageSizes(512, 0, 0)),
        (_memslot(M2), _mapping(M2, mode=FILE, path="/memfd:ram (deleted)"), ALWAYS, PageSizes(0, 1, 0)),
        # A half is not mapped.
        (_memslot(2 * M2), _mapping(M2), ALWAYS, PageSizes(512, 1, 0)),
    ],
)
def test_pages_are_as_large_as_backing_and_addresses_allow(
    memslot: LookedMemslot, mapping: Mapping, settings: dict[str, str], expected: PageSizes
) -> None:
    found = page_sizes([memslot], [mapping], settings)
    assert found == expected
    assert found.of_4k * PAGE + found.of_2m * M2 + found.of_1g * G1 == memslot.pages * PAGE


def test_the_hosts_settings_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    (tmp_path / "shmem_enabled").write_text("always within_size [advise] never deny force\n")
    assert huge_page_settings(tmp_path) == {"enabled": "madvise", "shmem_enabled": "madvise"}
    assert huge_page_settings(tmp_path / "none") == {"enabled": "never", "shmem_enabled": "never"}
