# SPDX-License-Identifier: Apache-2.0
"""A machine under QEMU's software emulation, that has booted a kernel and does what it is asked for."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.emulated import initramfs
from tests.emulated.checkout import copy_checkout
from tests.emulated.kernels import Kernel
from tests.emulated.platforms import Platform

HOST_ADDRESS = "10.0.2.2"
"""This host, as a machine sees it: QEMU's user networking leads to the loopback interface."""

_BOOT_S = 600.0
_ANSWER_S = 1800.0
_POLL_S = 0.05
_POLL_SHARE = 0.02
"""Of the time that was waited already."""
_BUSYBOX = "/emulated/busybox"
_ACCELERATOR = "tcg,thread=single"
"""All processors of a machine take turns in one thread.

Where each has a thread of its own, one that waits for another spins for as long as this host gives the other
no time. QEMU before 8.1 also translates code while another thread changes it: a kernel that patches its own
code then ends in ``Oops: int3``.
"""
_KERNEL_FAILED = re.compile(
    r"Kernel panic|Oops: ?\w*|\bBUG: |general protection fault|double fault|rcu: INFO.*stall"
)


class EmulatorError(Exception):
    """The machine or its kernel failed, not what ran in it. The message has the console's last lines."""


class Answer(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    output: str
    error: str


class Machine:
    """A machine that has booted. A context manager: leaving it switches the machine off."""

    def __init__(
        self, platform: Platform, kernel: Kernel, folder: Path, kernel_options: Sequence[str] = ()
    ) -> None:
        """Boot.

        :param folder: empty; host and machine both write to its ``job``, which the machine has as /job
        :param kernel_options: put on the kernel's command line
        :raises EmulatorError: it did not come up
        """
        self.platform = platform
        self.kernel = kernel
        self.job = folder / "job"
        self.job.mkdir(parents=True)
        self._console = folder / "console.log"
        self._requests = 0
        ramdisk = folder / "initramfs.cpio"
        ramdisk.write_bytes(kernel.modules.read_bytes() + _first_process(platform))
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                _command(platform, kernel.image, ramdisk, copy_checkout(folder), self.job, kernel_options),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        try:
            self.run(_BUSYBOX, "true", seconds=_BOOT_S)
        except BaseException:
            self._switch_off()
            raise

    def __enter__(self) -> "Machine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._switch_off()

    def run(self, *arguments: str, seconds: float = _ANSWER_S) -> Answer:
        """Run a command in the machine to its end.

        :raises EmulatorError: the machine failed, or gave no answer within these seconds
        """
        return self._ask({"arguments": arguments, "log": "", "stop": 0}, seconds)

    def python(self, *arguments: str) -> Answer:
        """Run one of this checkout's modules: the arguments behind ``python -m``. As ``run``."""
        return self.run(self.platform.python, "-m", *arguments)

    def start(self, log: str, *arguments: str, prefix: Sequence[str] = ()) -> int:
        """Start one of this checkout's modules and go on; return its process id in the machine.

        :param log: name of the file in the job folder to which its output is added
        :param prefix: the command and its arguments under which it runs
        """
        command = (*prefix, self.platform.python, "-m", *arguments)
        return self._ask({"arguments": command, "log": log, "stop": 0}, _ANSWER_S).status

    def stop(self, pid: int) -> int:
        """End what was started, in order, and return its exit status."""
        return self._ask({"arguments": (), "log": "", "stop": pid}, _ANSWER_S).status

    def busybox(self, *arguments: str) -> str:
        """Run a command of busybox, which must succeed, and return its output."""
        answer = self.run(_BUSYBOX, *arguments)
        assert answer.status == 0, f"{arguments}: {answer.error}"
        return answer.output

    def kvm_modules(self) -> list[str]:
        """Return the names of the modules that make up KVM, in order, the vendor's last; none if built in."""
        return self.busybox("cat", "/emulated/modules/kvm").split()

    def insert(self, *modules: str) -> None:
        """Load modules."""
        for name in modules:
            self.busybox("insmod", f"/emulated/modules/{name}.ko")

    def remove(self, *modules: str) -> None:
        """Unload modules."""
        for name in modules:
            self.busybox("rmmod", name)

    def load_kvm(self, *parameters: str) -> None:
        """Load all of KVM; ``npt=0`` and the like go to the vendor's module."""
        *common, vendor = self.kvm_modules() or [""]
        self.insert(*common)
        if vendor:
            self.busybox("insmod", f"/emulated/modules/{vendor}.ko", *parameters)

    def _ask(self, request: dict[str, object], seconds: float) -> Answer:
        self._requests += 1
        name = f"{self._requests}.request"
        (self.job / f"{name}.unfinished").write_text(json.dumps(request))
        (self.job / f"{name}.unfinished").rename(self.job / name)
        answer = self.job / f"{self._requests}.answer"
        began = time.monotonic()
        while not answer.exists():
            self.check()
            waited = time.monotonic() - began
            if waited > seconds:
                raise EmulatorError(
                    f"no answer in {seconds:g} s; to {request}; console: {self._last_lines()}"
                )
            # To look takes time from the machine.
            time.sleep(max(_POLL_S, _POLL_SHARE * waited))
        return Answer(**json.loads(answer.read_text()))

    def check(self) -> None:
        """Look after the machine.

        :raises EmulatorError: it has failed
        """
        words = self._last_lines()
        if failed := _KERNEL_FAILED.search(words):
            raise EmulatorError(f"its kernel failed: {failed[0]}; console: {words}")
        if self._process.poll() is not None:
            raise EmulatorError(f"the machine ended; console: {words}")

    def _last_lines(self) -> str:
        return self._console.read_text(errors="replace")[-3000:]

    def _switch_off(self) -> None:
        self._process.kill()
        self._process.wait()


def _first_process(platform: Platform) -> bytes:
    files = {
        "init": Path(__file__).with_name("init.sh").read_bytes(),
        "bin/busybox": platform.busybox.read_bytes(),
        "python": platform.python.encode(),
    }
    return initramfs.pack(files, programs=frozenset(("init", "bin/busybox")))


def _command(
    platform: Platform, image: Path, ramdisk: Path, checkout: Path, job: Path, kernel_options: Sequence[str]
) -> list[str]:
    program = shutil.which(platform.program)
    assert program is not None, f"{platform.program} is not installed"
    options = (f"console={platform.console}", "quiet", "panic=-1", *kernel_options)
    return [
        program,
        *platform.options,
        *("-accel", _ACCELERATOR, "-smp", str(min(os.cpu_count() or 1, 4)), "-m", str(platform.memory)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(image), "-initrd", str(ramdisk), "-append", " ".join(options)),
        *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
        *_shared("root", platform.root, "readonly=on"),
        *_shared("checkout", checkout, "readonly=on"),
        *_shared("job", job, "readonly=off"),
    ]


def _shared(name: str, folder: Path, mode: str) -> Sequence[str]:
    options = f"local,path={folder},mount_tag={name},security_model=none,multidevs=remap,{mode}"
    return ("-virtfs", options)
