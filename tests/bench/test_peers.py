# SPDX-License-Identifier: Apache-2.0
"""Tools that the benchmark runs beside kvmfaults: what they report, and why they refuse."""

from pathlib import Path

import pytest

from bench.overhead.peers import Peer, peers
from bench.overhead.tracer import RefusedError


def _shell(script: str) -> Peer:
    return Peer("a tool", ("sh", "-c", script), lambda folder: int((folder / "output").read_text()))


def test_what_a_tool_wrote_by_its_end_is_counted() -> None:
    tool = _shell("cat; echo 307 > output")
    with tool.attached():
        pass
    assert tool.reported() == 307


def test_a_tool_that_refuses_gives_its_own_reason() -> None:
    tool = _shell("echo 'a tool: Operation not permitted' >&2; exit 1")
    with pytest.raises(RefusedError, match="refused: a tool: Operation not permitted"), tool.attached():
        pass


def test_a_tool_that_is_missing_is_not_installed() -> None:
    tool = Peer("a tool", ("no-such-tool-anywhere",), None)
    with pytest.raises(RefusedError, match="not installed"), tool.attached():
        pass


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("bpftrace", "output", "Attaching 1 probe...\n\n\n@[14133, 1]: 20000\n@[14140, 2]: 17\n"),
        ("perf stat", "output", "# started on Sat\n\n20017,,kvm:kvm_page_fault,90000,100.00,,\n"),
        ("perf record", "messages", "[ perf record: Captured and wrote 1.966 MB output (20017 samples) ]\n"),
        ("perf trace", "output", "  1.984 python/13804 kvm:kvm_page_fault(rip: 0, error_code: 6)\n" * 20_017),
    ],
)
def test_each_peers_own_words_are_counted(tmp_path: Path, name: str, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    (peer,) = [each for each in peers("kvm", "kvm_page_fault") if each.name.startswith(name)]
    assert peer.count is not None
    assert peer.count(tmp_path) == 20_017
