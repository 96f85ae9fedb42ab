# SPDX-License-Identifier: Apache-2.0
"""What is read of processes, from this machine's /proc and from made-up ones."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector.vms.identity.process import Process, host_proc, is_running, read_process, ticks_of
from tests.product import wait_for

NO_PROCESS = 5_000_000
"""Above the highest pid that Linux gives."""


def make_process(proc: Path, pid: int, *, comm: bytes = b"qemu", state: str = "S", start: int = 100) -> Path:
    folder = proc / str(pid)
    folder.mkdir()
    fields = f" {state} 1 " + "0 " * 17 + f"{start} 0 0\n"
    (folder / "stat").write_bytes(b"%d (%s)" % (pid, comm) + fields.encode())
    return folder


def test_this_process_is_read() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert process.pid == os.getpid()
    assert process.command[0] == sys.orig_argv[0]
    assert process.comm == Path("/proc/self/comm").read_text().rstrip("\n")
    assert process.cgroup == Path("/proc/self/cgroup").read_text()


def test_start_lies_between_the_moments_around_it() -> None:
    before = ticks_of(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = read_process(child.pid)
        after = ticks_of(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        child.communicate(b"\n")
    assert process is not None
    assert before <= process.start_ticks <= after
    assert ticks_of(process.start_boottime_ns) == process.start_ticks


@pytest.mark.parametrize(
    ("nanoseconds", "ticks"),
    [(0, 0), (9_999_999, 0), (10_000_000, 1), (19_999_999, 1), (86_400 * 10**9, 8_640_000)],
)
def test_kernel_nanoseconds_are_cut_to_ticks(nanoseconds: int, ticks: int) -> None:
    assert ticks_of(nanoseconds) == ticks


@pytest.mark.parametrize("comm", [b"a b", b"x) S 1 (y", b"((", b"line\nbreak", b""])
def test_any_comm_can_be_read(tmp_path: Path, comm: bytes) -> None:
    make_process(tmp_path, 7, comm=comm, start=4711)
    assert read_process(7, tmp_path) == Process(7, 4711, (), "", comm.decode())


def test_a_command_line_keeps_its_empty_arguments(tmp_path: Path) -> None:
    (make_process(tmp_path, 7) / "cmdline").write_bytes(b"qemu\0-name\0\0-m\0")
    process = read_process(7, tmp_path)
    assert process is not None
    assert process.command == ("qemu", "-name", "", "-m")


def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path) -> None:
    (make_process(tmp_path, 7, comm=b"\xff") / "cmdline").write_bytes(b"qemu\0-name\0caf\xe9\0")
    process = read_process(7, tmp_path)
    assert process is not None
    assert (process.command, process.comm) == (("qemu", "-name", "caf\ufffd"), "\ufffd")


def test_an_endless_command_line_is_bounded(tmp_path: Path) -> None:
    (make_process(tmp_path, 7) / "cmdline").write_bytes(b"x" * 3_000_000)
    process = read_process(7, tmp_path)
    assert process is not None
    assert len(process.command[0]) == 262_144


def test_a_kernel_thread_has_no_command() -> None:
    process = read_process(2)
    if process is None or process.comm != "kthreadd":
        pytest.skip("process 2 is not kthreadd: not in the initial pid namespace")
    assert process.command == ()


def test_there_is_no_such_process() -> None:
    assert read_process(NO_PROCESS) is None


def test_a_file_that_is_no_stat_is_no_process(tmp_path: Path) -> None:
    (make_process(tmp_path, 7) / "stat").write_bytes(b"7 (qemu) S 1 2")
    assert read_process(7, tmp_path) is None


def test_a_living_process_is_running() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert is_running(os.getpid(), process.start_ticks)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert not is_running(os.getpid(), process.start_ticks - 1)


def test_a_process_that_is_gone_is_not_running() -> None:
    assert not is_running(NO_PROCESS, 100)


def test_a_zombie_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        process = read_process(child.pid)
        assert process is not None
        assert not is_running(child.pid, process.start_ticks)


def test_a_process_whose_first_thread_ended_is_running_while_others_go_on() -> None:
    program = "import os, threading; threading.Thread(target=os.read, args=(0, 1)).start(); "
    program += "print(flush=True); __import__('ctypes').CDLL(None).pthread_exit(None)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        status = Path(f"/proc/{child.pid}/status")
        wait_for(lambda: "\nState:\tZ" in status.read_text() or None, 5, "the first thread has ended")
        process = read_process(child.pid)
        assert process is not None
        assert is_running(child.pid, process.start_ticks)
        child.stdin.close()
        wait_for(lambda: not is_running(child.pid, process.start_ticks) or None, 5, "the last has ended")


def test_a_process_hidden_from_proc_counts_as_running(tmp_path: Path) -> None:
    assert is_running(os.getpid(), 100, tmp_path)


def test_proc_of_another_pid_namespace_is_not_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026532200]")
    assert host_proc(tmp_path) is None


def test_proc_of_the_initial_pid_namespace_is_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026531836]")
    assert host_proc(tmp_path) == tmp_path


def test_without_proc_there_is_no_host_proc(tmp_path: Path) -> None:
    assert host_proc(tmp_path) is None
