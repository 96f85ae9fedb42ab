# SPDX-License-Identifier: Apache-2.0
"""Records come out of a ring buffer as the layout says, or not at all."""

import mmap
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from collector.errors import PinnedError
from collector.probe.compiled import Field, Structure
from collector.probe.ring import Ring
from collector.probe.syscall import Map
from collector.probe.view import View

PAGE = mmap.PAGESIZE


class Record(NamedTuple):
    """Of twelve bytes, in sixteen."""

    word: int
    vcpu: int


VIEW = View.of(Structure(12, {"word": Field(0, "Q"), "vcpu": Field(8, "I")}), Record)


@pytest.fixture
def memory() -> Iterator[int]:
    """What a ring buffer of a page shares with user space."""
    fd = os.memfd_create("ring")
    os.ftruncate(fd, 4 * PAGE)
    yield fd
    os.close(fd)


def _write(memory: int, *records: tuple[int, Record]) -> None:
    """As the kernel does: a header with this word, and a record in as many bytes as all have."""
    data = b"".join(struct.pack("=I4xQI4x", header, *record) for header, record in records)
    os.pwrite(memory, data, 2 * PAGE)
    os.pwrite(memory, struct.pack("=Q", len(data)), PAGE)


def test_records_are_read_up_to_the_first_that_is_being_written(memory: int) -> None:
    _write(memory, (12, Record(1, 2)), (12, Record(3, 4)), (12 | 1 << 31, Record(5, 6)))
    ring = Ring(Map(memory, 0, 0, PAGE), VIEW)
    assert ring.read() == [Record(1, 2), Record(3, 4)]
    assert not ring.is_drained()
    ring.close()


@pytest.mark.parametrize("length", [0, 8, 11, 13, 16, 4096])
def test_records_of_another_size_are_refused(memory: int, length: int) -> None:
    _write(memory, (12, Record(1, 2)), (length, Record(3, 4)))
    ring = Ring(Map(memory, 0, 0, PAGE), VIEW)
    with pytest.raises(PinnedError, match="its records are of another size than its layout says"):
        ring.read()
    ring.close()
