"""A machine under QEMU's software emulation, that boots a kernel and runs ``inside``."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.emulated import initramfs
from tests.emulated.kernels import Kernel
from tests.product import TOP

HOST_ADDRESS = "10.0.2.2"
"""This host, as a machine sees it: QEMU's user networking leads to the loopback interface."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A processor and its board, as QEMU has it.

    ``root`` is the folder that the machine has as its root, ``python`` the interpreter in there, ``busybox``
    a static busybox for its processor.
    """

    program: str
    options: tuple[str, ...]
    console: str
    root: Path
    python: str
    busybox: Path


def arm64(root: Path, python: str) -> Platform:
    """Return the platform with Arm's virtualization host extensions, under which KVM is in its VHE mode.

    Pointer authentication is QEMU's own instead of the architected cipher, which takes half of all time.
    """
    return Platform(
        program="qemu-system-aarch64",
        options=("-machine", "virt,virtualization=on,gic-version=3", "-cpu", "max,pauth-impdef=on"),
        console="ttyAMA0",
        root=root,
        python=python,
        busybox=root / "bin/busybox",
    )


class Machine:
    """A running machine. A context manager: leaving it ends the machine."""

    def __init__(self, platform: Platform, kernel: Kernel, job: Path) -> None:
        """Start it; ``job`` is the folder that host and machine both write to."""
        self.console = job / "console.log"
        ramdisk = job / "initramfs.cpio"
        ramdisk.write_bytes(kernel.modules.read_bytes() + _first_process(platform))
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                _command(platform, kernel.image, ramdisk, job),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )

    def __enter__(self) -> "Machine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def is_running(self) -> bool:
        """Whether it has not powered off, or failed, yet."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the end of what it wrote to its console."""
        return self.console.read_text(errors="replace")[-2000:]


def _first_process(platform: Platform) -> bytes:
    files = {
        "init": Path(__file__).with_name("init.sh").read_bytes(),
        "bin/busybox": platform.busybox.read_bytes(),
        "python": platform.python.encode(),
    }
    return initramfs.pack(files, programs=frozenset(("init", "bin/busybox")))


def _command(platform: Platform, image: Path, ramdisk: Path, job: Path) -> list[str]:
    program = shutil.which(platform.program)
    assert program is not None, f"{platform.program} is not installed"
    return [
        program,
        *platform.options,
        *("-accel", "tcg,thread=multi", "-smp", str(min(os.cpu_count() or 1, 4)), "-m", "2048"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(image), "-initrd", str(ramdisk)),
        *("-append", f"console={platform.console} quiet panic=-1"),
        *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
        *_shared("root", platform.root, "readonly=on"),
        *_shared("checkout", TOP, "readonly=on"),
        *_shared("job", job, "readonly=off"),
    ]


def _shared(name: str, folder: Path, mode: str) -> Sequence[str]:
    options = f"local,path={folder},mount_tag={name},security_model=none,multidevs=remap,{mode}"
    return ("-virtfs", options)
