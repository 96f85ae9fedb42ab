# SPDX-License-Identifier: Apache-2.0
"""A stock QEMU with a guest that touches memory on command."""

import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from demo.errors import GuestError, KvmUnavailableError
from demo.machine import Op, Touch
from demo.memory import HUGE_PAGE, PAGE
from demo.qemu_image import DONE, FIRST_TARGET, build_image

PROGRAM = "qemu-system-x86_64"
_START_SECONDS = 30.0
_TOUCH_SECONDS = 60.0


class QemuGuest:
    """A QEMU process whose guest waits for touches. A context manager: leaving it ends the process.

    The machine is the smallest that QEMU has, its memory a memory file, which keeps to 4 KiB pages.
    """

    def __init__(self, operations: Sequence[tuple[Op, int]], *, name: str, uuid: str) -> None:
        """Start QEMU and wait until its guest runs and has touched all of its own pages.

        :param operations: what the guest will be able to do: an operation and its number of pages, each on
            pages of its own
        :raises KvmUnavailableError: QEMU is not installed
        :raises GuestError: it did not start in time; the message has what it said
        """
        self._touches = _place(operations)
        self._folder = tempfile.TemporaryDirectory(prefix="demo-qemu-")
        image = Path(self._folder.name) / "guest.elf"
        image.write_bytes(build_image(self._touches))
        self._log = Path(self._folder.name) / "qemu.log"
        last = self._touches[-1] if self._touches else Touch(Op.READ, FIRST_TARGET, 0)
        memory_mib = -(-(last.gpa + last.count * last.stride) // HUGE_PAGE) * HUGE_PAGE >> 20
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _command(image, memory_mib=memory_mib, name=name, uuid=uuid),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.pid = self._process.pid
        try:
            self._await_done(_START_SECONDS)
        except GuestError:
            self.close()
            raise

    def __enter__(self) -> "QemuGuest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def do(self, number: int) -> None:
        """Do the operation at this place of the sequence; each of its pages faults once, the first time.

        :raises GuestError: the guest did not answer
        """
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(bytes((number + 1,)))
        pipe.flush()
        self._await_done(_TOUCH_SECONDS)

    def close(self) -> None:
        """End QEMU."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _await_done(self, seconds: float) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], seconds)
        if not ready or os.read(pipe.fileno(), 1) != DONE:
            said = self._log.read_text(errors="replace").strip() or "and said nothing"
            raise GuestError(f"the guest of {PROGRAM} did not answer within {seconds:.0f} s: {said}")


def _place(operations: Sequence[tuple[Op, int]]) -> list[Touch]:
    """Give each operation memory of its own, beginning at a multiple of 2 MiB."""
    touches, gpa = [], FIRST_TARGET
    for op, pages in operations:
        touches.append(Touch(op, gpa, pages, PAGE))
        gpa += -(-pages * PAGE // HUGE_PAGE) * HUGE_PAGE
    return touches


def _command(image: Path, *, memory_mib: int, name: str, uuid: str) -> list[str]:
    program = shutil.which(PROGRAM)
    if program is None:
        raise KvmUnavailableError(f"{PROGRAM} is not installed; on Debian: apt-get install qemu-system-x86")
    memory = f"memory-backend-memfd,id=ram,size={memory_mib}M,share=on"
    return [
        program,
        *("-name", name, "-uuid", uuid),
        *("-accel", "kvm", "-machine", "microvm,memory-backend=ram", "-object", memory),
        *("-m", f"{memory_mib}M", "-cpu", "qemu64,-pni", "-bios", "qboot.rom", "-kernel", str(image)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
    ]
