# SPDX-License-Identifier: Apache-2.0
"""Files and pipes: plain and compressed, damaged, cut short, binary, without lines."""

import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.trace.errors import TraceError
from collector.trace.source import Source, chunks, opened
from collector.trace.text import lines


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


@pytest.mark.parametrize(
    ("magic", "advice"),
    [
        (
            b"\x17\x08\x44tracing6\x00",
            r"trace-cmd's binary form; import the text of: trace-cmd report -N -t -i \S+",
        ),
        (b"PERFILE2\x68", r"perf's binary form; import the text of: perf script --ns -F \S+trace -i \S+"),
        (b"2ELIFREP\x68", "perf's binary form"),
        (b"\x28\xb5\x2f\xfd\x04", r"compressed by zstd; import the text of: zstd -dc \S+"),
        (b"BZh91AY", "compressed by bzip2"),
    ],
    ids=["trace.dat", "perf.data", "perf.data of another byte order", "zstd", "bzip2"],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_is_no_text_is_refused_with_what_makes_text_of_it(
    tmp_path: Path, magic: bytes, advice: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "recording"
    path.write_bytes(compress(magic + bytes(1000)))
    with pytest.raises(TraceError, match=advice):
        list(chunks(Source("recording", path)))


def test_a_pipe_is_copied_so_that_it_can_be_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(b"one\ntwo\n"),))
    writer.start()
    with opened(path) as source:
        assert [list(lines(chunks(source))) for _ in range(2)] == [["one", "two"]] * 2
        assert (source.name, source.path != path) == (str(path), True)
    writer.join()
    assert not source.path.exists()


def test_how_far_a_compressed_file_is_read_is_reported_in_its_own_bytes(tmp_path: Path) -> None:
    path = tmp_path / "trace.xz"
    path.write_bytes(lzma.compress(os.urandom(1 << 22)))
    seen: list[int] = []
    source = Source("trace", path)
    for _ in chunks(source, seen.append):
        pass
    assert seen == sorted(seen)
    assert seen[-1] == source.size_bytes == path.stat().st_size
