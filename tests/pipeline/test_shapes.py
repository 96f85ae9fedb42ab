# SPDX-License-Identifier: Apache-2.0
"""The same recording reads the same, whichever tool printed it."""

import json
import lzma
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faultmodel.record import EFAULT, ERRNO_NOT_SHOWN, KVM_EXIT_MEMORY_FAULT, REASON_NOT_SHOWN, ExitKind
from tests.pipeline import recordings, tools

REPORTS = Path(__file__).parent / "reports"
GUESTS = [json.loads(line) for line in (REPORTS / "truth.jsonl").read_text().splitlines()]
PRINTED = [
    "arm64-6.18.15-hostprot",
    "riscv64-6.12.107-hostprot",
    "x86_64-6.12.107-npt0-mmio",
    "x86_64-6.18.15-gmem",
]
WITH_SEVERAL_VCPUS = [name for name in recordings.names() if name.endswith("smp")]
KVM_EXIT_INTR = 10


@pytest.mark.parametrize("name", PRINTED)
def test_the_tests_idea_of_trace_cmd_is_what_trace_cmd_prints(name: str) -> None:
    _, *printed = _text(f"{name}.trace-cmd").splitlines()
    assert len(printed) > 200
    assert set(printed) <= set(tools.trace_cmd(recordings.text(name), _host(name)).splitlines())


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        *product((tools.trace_cmd, tools.perf), recordings.names()),
        *product((tools.trace_cmd_latency, tools.perf_in_full), WITH_SEVERAL_VCPUS),
    ],
)
def test_a_recording_reads_the_same_in_every_tool_s_text(
    tmp_path: Path, shape: Callable[[str, tools.Host], str], name: str
) -> None:
    path = tmp_path / "text"
    path.write_text(shape(recordings.text(name), _host(name)))
    recording = recordings.prepare(path)
    shaped, traced = recordings.read_all(recording), recordings.read(name)

    assert (recording.report.unreadable_lines, recording.report.unattributed) == (0, 0)
    assert _faults(shaped) == _faults(traced)
    expected = Counter(_as_tools_show(seen.reason, seen.errno, _host(name)) for seen in traced.exits)
    assert Counter((seen.reason, seen.errno) for seen in shaped.exits) == expected
    assert {seen.record.kind for seen in shaped.exits if seen.record} <= {
        ExitKind.MEMORY_FAULT,
        ExitKind.UNCLASSIFIED_ERROR,
    }


@pytest.mark.parametrize("guest", GUESTS, ids=lambda guest: str(guest["report"]))
def test_a_real_guest_s_faults_and_exits_are_those_that_its_tool_recorded(guest: dict[str, Any]) -> None:
    recording = recordings.prepare(REPORTS / f"{guest['report']}.txt.xz")
    read = recordings.read_all(recording)

    faults = Counter(str(seen.record.vcpu) for seen in read.counted if seen.is_guest_fault)
    assert faults == guest["faults"]
    records = [seen.record for seen in read.exits if seen.record is not None]
    assert Counter((record.kind, record.reason, record.errno) for record in records) == +Counter(
        {
            (ExitKind.MEMORY_FAULT, KVM_EXIT_MEMORY_FAULT, EFAULT): guest["memory_fault_exits"],
            (ExitKind.UNCLASSIFIED_ERROR, 0, ERRNO_NOT_SHOWN): guest["bare_errors"],
        }
    )
    assert recording.report.errno_left_out == guest["bare_errors"]
    assert (recording.report.unreadable_lines, recording.report.unattributed) == (0, 0)


def _text(report: str) -> str:
    with lzma.open(REPORTS / f"{report}.txt.xz", "rt") as file:
        return file.read()


def _host(name: str) -> tools.Host:
    exits = [item.get("exit", {}) for item in recordings.truth()[name]]
    is_shown = any("memory_fault" in exit_ for exit_ in exits)
    return tools.Host(recordings.pid(name), KVM_EXIT_MEMORY_FAULT if is_shown else 0)


def _as_tools_show(reason: int, errno: int, host: tools.Host) -> tuple[int, int]:
    if reason != REASON_NOT_SHOWN:
        return reason, errno
    if errno != EFAULT:
        return KVM_EXIT_INTR, 0
    return host.failed_reason, EFAULT if host.failed_reason else ERRNO_NOT_SHOWN


def _faults(read: recordings.Read) -> list[tuple[Any, tuple[str, ...]]]:
    """Faults and how they ended, but for the VM's id, which is that of the text."""
    return [(msgspec.structs.replace(seen.record, vm=""), seen.counters) for seen in read.counted]
