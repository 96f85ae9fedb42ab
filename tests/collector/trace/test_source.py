"""Files: plain and compressed, damaged, cut short, without lines."""

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.trace.errors import TraceError
from collector.trace.source import Source, chunks, lines, opened


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress], ids=["plain", "gzip", "xz"])
def test_a_file_is_read_whatever_its_name_says(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "trace.txt"
    path.write_bytes(compress(b"one\ntwo\n"))
    assert list(lines(chunks(Source(str(path), path)))) == ["one", "two"]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-8], lambda data: data[:30] + b"\xff" * 40 + data[70:]]
)
def test_a_damaged_file_is_said_to_be_so(
    tmp_path: Path, compress: Callable[[bytes], bytes], damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "trace.txt.xz"
    path.write_bytes(damage(compress(b"".join(b"line %d\n" % number for number in range(1000)))))
    with pytest.raises(TraceError, match=r"trace\.txt\.xz is cut short or damaged"):
        list(chunks(Source(str(path), path)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read .*nothing\.txt: No such file"):
        list(chunks(Source("nothing.txt", tmp_path / "nothing.txt")))


def test_a_directory_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read .*: Is a directory"), opened(tmp_path):
        pass


def test_a_line_without_its_end_is_not_given_out() -> None:
    assert list(lines(iter([b"one\ntw"]))) == ["one", None]


def test_lines_go_on_across_chunks() -> None:
    assert list(lines(iter([b"on", b"e\ntw", b"o", b"\n"]))) == ["one", "two"]


def test_a_line_longer_than_any_is_left_out_and_those_after_it_are_not() -> None:
    assert list(lines(iter([b"one\n" + b"x" * 40_000, b"x" * 40_000, b"x\nthree\n"]))) == [
        "one",
        None,
        "three",
    ]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert list(lines(iter([b"a\xff\xfeb\n"]))) == ["a\ufffd\ufffdb"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    path.touch()
    assert list(lines(chunks(Source(str(path), path)))) == []
