# SPDX-License-Identifier: Apache-2.0
"""KVM's announcements of VMs made and gone, as the kernel sends them to user space.

With every VM the kernel sends a uevent of /dev/kvm: EVENT=create or destroy, PID=<thread that made it>,
STATS_PATH=/kvm/<that thread>-<file descriptor>. Nothing else shows a VM's end in a process that lives on.
Source: virt/kvm/kvm_main.c, kvm_uevent_notify_change().
"""

import ctypes
import errno
import select
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

_NETLINK_KOBJECT_UEVENT = 15
_KERNEL_GROUP = 1
_SO_ATTACH_FILTER = 26
_BUFFER_BYTES = 1 << 20
_MESSAGE_BYTES = 16 * 1024
_HEADER = b"change@/devices/virtual/misc/kvm\0"


class EventKind(StrEnum):
    """What a uevent says. ``LOST``: some were sent that could not be received."""

    CREATED = "created"
    DESTROYED = "destroyed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class KvmEvent:
    """One announcement. ``stats_name`` is the name of the VM's folder in debugfs, ``<thread>-<descriptor>``.

    No two VMs have the same at one time, but a later one may; empty where the kernel made no folder.
    """

    kind: EventKind
    stats_name: str = ""


class KvmEvents:
    """Receives KVM's uevents. Needs no capability, but a network namespace of the host's user namespace.

    Where they cannot be had, ``unavailable`` says why, and VMs can only be seen to end with their process.
    """

    def __init__(self) -> None:
        self.unavailable = ""
        self._socket: socket.socket | None = None
        try:
            self._socket = _open_socket()
        except OSError as exc:
            self.unavailable = f"no kernel uevents: {exc.strerror}"

    def read(self) -> tuple[KvmEvent, ...]:
        """Return what has arrived since the last call, in order. Never waits."""
        received: list[KvmEvent] = []
        lost = False
        while self._socket is not None:
            try:
                message, (sender, _groups) = self._socket.recvfrom(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError as exc:
                lost = True
                if exc.errno != errno.ENOBUFS:
                    self.unavailable = f"kernel uevents ended: {exc.strerror}"
                    self.close()
                continue
            # Only the kernel sends from port 0.
            event = parse_uevent(message) if sender == 0 else None
            if event is not None:
                received.append(event)
        if lost:
            # The kernel says so at once, but what it dropped is later than what was still queued.
            received.append(KvmEvent(EventKind.LOST))
        return tuple(received)

    def wait(self, timeout_s: float) -> bool:
        """Wait until something has arrived; False where nothing did."""
        return self._socket is not None and bool(select.select([self._socket], [], [], timeout_s)[0])

    def close(self) -> None:
        """Receive no more. May be called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> "KvmEvents":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def parse_uevent(message: bytes) -> KvmEvent | None:
    """Read a kernel uevent; None where it is not about a VM."""
    if not message.startswith(_HEADER):
        return None
    pairs = (line.partition(b"=") for line in message.split(b"\0"))
    fields = {key: value for key, _, value in pairs}
    kind = {b"create": EventKind.CREATED, b"destroy": EventKind.DESTROYED}.get(fields.get(b"EVENT", b""))
    if kind is None:
        return None
    path = fields.get(b"STATS_PATH", b"").decode("utf-8", "replace")
    return KvmEvent(kind, path.rpartition("/")[2])


def _open_socket() -> socket.socket:
    opened = socket.socket(
        socket.AF_NETLINK,
        socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
        _NETLINK_KOBJECT_UEVENT,
    )
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        _keep_kvm_only(opened)
        opened.bind((0, _KERNEL_GROUP))
    except OSError:
        opened.close()
        raise
    return opened


def _keep_kvm_only(opened: socket.socket) -> None:
    # A host that starts containers sends hundreds of uevents a second; unfiltered they would fill the
    # buffer between two readings. The filter compares the header's bytes 0-3 and 28-32.
    load_word, load_byte, jump_if_equal, answer = 0x20, 0x30, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS etc.
    program = (
        (load_word, 0, 0, 0),
        (jump_if_equal, 0, 5, int.from_bytes(_HEADER[0:4], "big")),
        (load_word, 0, 0, 28),
        (jump_if_equal, 0, 3, int.from_bytes(_HEADER[28:32], "big")),
        (load_byte, 0, 0, 32),
        (jump_if_equal, 0, 1, 0),
        (answer, 0, 0, 0xFFFFFFFF),
        (answer, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    # struct sock_fprog: the number of steps, padding, a pointer to them.
    opened.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))
    )
