# SPDX-License-Identifier: Apache-2.0
"""Which capabilities are kept, and that they are all that is left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.rights import Capability, names, needed
from tests.product import TOP


@pytest.mark.parametrize(
    ("options", "is_kept"),
    [
        ("rw,relatime", False),
        ("rw,hidepid=0", False),
        ("rw,hidepid=off,gid=5", False),
        ("rw,hidepid=1", True),
        ("rw,hidepid=2,gid=5", True),
        ("rw,relatime,hidepid=invisible", True),
        ("rw,hidepid=ptraceable", True),
    ],
)
def test_the_right_to_trace_is_kept_only_where_processes_are_hidden(options: str, is_kept: bool) -> None:
    others = "x /proc ext4 rw,hidepid=2 0 0\nproc /jail/proc proc rw,hidepid=2 0 0\n"
    mounts = f"{others}proc /proc proc {options} 0 0\n"
    assert (Capability.SYS_PTRACE in needed(mounts=mounts)) == is_kept
    assert needed(mounts=mounts) >= {Capability.BPF, Capability.PERFMON}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what is closed to it")
def test_the_right_to_look_everywhere_is_kept_only_where_something_needed_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "program").touch()
    os.chown(home, 65534, 65534)
    os.chown(home / "program", 65534, 65534)
    paths = [home / "program", home / "not" / "there", Path(sys.executable)]
    assert Capability.DAC_READ_SEARCH not in needed(paths)
    home.chmod(0o700)
    assert Capability.DAC_READ_SEARCH in needed(paths)
    assert Capability.DAC_READ_SEARCH in needed([home / "not" / "there"])


def test_capabilities_are_shown_by_name() -> None:
    assert names(1 << 39 | 1 << 38 | 1) == ("0", "PERFMON", "BPF")
    assert names(0) == ()


DROP = """
import json, subprocess, threading
from pathlib import Path
from collector.rights import Capability, held, keep_only
def look(path="/proc/thread-self/status"):
    lines = Path(path).read_text().splitlines()
    return {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Cap", "NoNew"))}
keep_only([Capability.BPF, Capability.PERFMON])
seen = [look()]
thread = threading.Thread(target=lambda: seen.append(look())); thread.start(); thread.join()
child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True)
Path("/dev/null").write_text("")
lines = child.stdout.splitlines()
seen.append({line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Cap", "NoNew"))})
try:
    keep_only(list(Capability)); again = held()
except OSError:
    again = "refused"
print(json.dumps({"seen": seen, "again": again}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up")
def test_what_was_given_up_is_gone_from_threads_and_children_too_and_does_not_come_back() -> None:
    done = subprocess.run([sys.executable, "-c", DROP], cwd=TOP, capture_output=True, text=True, check=False)
    printed = json.loads(done.stdout)
    kept = f"{1 << 39 | 1 << 38:016x}"
    expected = {
        "CapInh": "0" * 16,
        "CapPrm": kept,
        "CapEff": kept,
        "CapBnd": kept,
        "CapAmb": "0" * 16,
        "NoNewPrivs": "1",
    }
    assert printed["seen"] == [expected] * 3
    assert printed["again"] == ["PERFMON", "BPF"]
