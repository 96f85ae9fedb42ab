# SPDX-License-Identifier: Apache-2.0
"""Runs in an emulated machine: runs a program, while the kernel itself counts what happens.

python -m tests.emulated.selftests.witness SECONDS PROGRAM [ARGUMENT...]

The kernel counts by histograms of its tracepoints (Documentation/trace/histogram.rst), which are put on
before the program starts and read after it has ended. Prints one line of JSON:

    {"status": 0, "said": "...", "ended": 1.5e9, "counts": {NAME: [[{KEY: NUMBER}, COUNT]]},
     "results": {"fast": 5}, "failures": ["..."]}

``status`` is the program's, None where it was killed after these seconds; ``ended`` the time (seconds since
1970); ``results`` are fast_page_fault's by name, ``failures`` the lines that the program wrote to its
descriptor 3.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_EVENTS = Path("/sys/kernel/tracing/events")
_NO_SLOT = 1 << 63  # KVM_PFN_NOSLOT, include/linux/kvm_host.h

_FAILURES = 3  # the descriptor that programs write failures to

HISTOGRAMS = {
    "kvm_page_fault": ("kvm/kvm_page_fault", "hist:keys=vcpu_id,error_code"),
    "kvm_guest_fault": ("kvm/kvm_guest_fault", "hist:keys=hsr"),
    "mapped": ("kvmmmu/kvm_mmu_spte_requested", f"hist:keys=level if pfn < {_NO_SLOT}"),
    "mapped_no_slot": ("kvmmmu/kvm_mmu_spte_requested", f"hist:keys=level if pfn >= {_NO_SLOT}"),
    "fast_page_fault": ("kvmmmu/fast_page_fault", "hist:keys=ret,error_code"),
    "handle_mmio_page_fault": ("kvmmmu/handle_mmio_page_fault", "hist:keys=access"),
    "mark_mmio_spte": ("kvmmmu/mark_mmio_spte", "hist:keys=access"),
    "kvm_userspace_exit": ("kvm/kvm_userspace_exit", "hist:keys=reason,errno"),
}
"""Those that are put on, by a name for each; which of the tracepoints there are depends on the processor."""

_ENTRY = re.compile(r"^\{(.*)\} hitcount: +(\d+)", re.MULTILINE)
_KEY = re.compile(r"(\w+): +(-?\d+)")
_COMPLETE = "Dropped: 0\n"


def main(seconds: int, command: list[str]) -> None:
    """Count, run, and print the counts."""
    present = {name: (_EVENTS / event, what) for name, (event, what) in HISTOGRAMS.items()}
    present = {name: (event, what) for name, (event, what) in present.items() if event.is_dir()}
    for event, what in present.values():
        # The first histogram of an event comes first in its file, and so on.
        with (event / "trigger").open("a") as trigger:
            trigger.write(what)
    status, said, failures = _run(seconds, command)
    ended = time.time()
    counts = {name: read_counts(event, what) for name, (event, what) in present.items()}
    for event, what in present.values():
        with (event / "trigger").open("a") as trigger:
            trigger.write(f"!{what}")
    witnessed = {
        "status": status,
        "said": said,
        "ended": ended,
        "counts": counts,
        "results": _results(),
        "failures": failures,
    }
    sys.stdout.write(f"{json.dumps(witnessed)}\n")


def _run(seconds: int, command: list[str]) -> tuple[int | None, str, list[str]]:
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("a+") as failures:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: os.dup2(failures.fileno(), _FAILURES),
            pass_fds=(_FAILURES,),
            start_new_session=True,
        )
        status: int | None
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = None
        output.seek(0)
        failures.seek(0)
        return status, output.read()[-2000:], failures.read().splitlines()


def read_counts(event: Path, what: str) -> list[tuple[dict[str, int], int]]:
    """Read the histogram of an event that was asked for with these words."""
    for text in (event / "hist").read_text().split("# event histogram")[1:]:
        if what.partition(" if ")[0] in text and (" if " not in what or what.partition(" if ")[2] in text):
            assert _COMPLETE in text, f"{event.name}: the histogram overran"
            return [
                ({key: int(value) for key, value in _KEY.findall(keys)}, int(count))
                for keys, count in _ENTRY.findall(text)
            ]
    raise AssertionError(f"{event.name}: no histogram {what}")


def _results() -> dict[str, int]:
    """Which numbers fast_page_fault has for its results: they are those that its text is printed from."""
    shape = _EVENTS / "kvmmmu/fast_page_fault/format"
    found = re.search(r"REC->ret == (\d+), REC->ret == (\d+)", shape.read_text()) if shape.exists() else None
    return {"spurious": int(found[1]), "fast": int(found[2])} if found else {}


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
