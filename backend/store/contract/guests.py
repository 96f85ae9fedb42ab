# SPDX-License-Identifier: Apache-2.0
"""Guests: what makes two VMs lives of one guest. Nothing but what identifies a guest decides its id.

A UUID identifies a guest wherever it runs; else a host and a name do; else a VM is a guest of its own.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import PurePosixPath

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COMM_LENGTH = 15
"""Source: Linux, include/linux/sched.h, TASK_COMM_LEN: 16 with the NUL."""


class IdentifiedBy(StrEnum):
    """What identifies a guest."""

    UUID = "uuid"
    NAME = "name"
    """With its host."""
    VM = "vm"
    """Nothing that another VM could have, too."""


@dataclass(frozen=True, slots=True)
class GuestKey:
    """What identifies a guest, spelt in one way."""

    by: IdentifiedBy
    text: str
    uuid: str = ""

    @property
    def id(self) -> str:
        """The guest's id: 16 hexadecimal digits, which follow from what identifies it alone."""
        return blake2b(f"{self.by}\0{self.text}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest as it is stored. ``uuid`` is empty where none identifies it."""

    id: str
    by: IdentifiedBy
    uuid: str


def by_uuid(uuid: str) -> GuestKey | None:
    """Return what a UUID identifies; None where it is none, or one that stands for none: all zero, all F."""
    uuid = uuid.lower()
    if not _UUID.fullmatch(uuid) or set(uuid) in ({"0", "-"}, {"f", "-"}):
        return None
    return GuestKey(IdentifiedBy.UUID, uuid, uuid)


def by_name(host: str, name: str, vmm: str, command: str) -> GuestKey | None:
    """Return what a name identifies on its host; None where it is but what the program is called.

    A collector of this version says so by itself, an earlier one does not.

    :param host: as the host calls itself
    """
    program = PurePosixPath(command.partition(" ")[0].strip("'\"")).name
    if name in ("", vmm, program, program[:_COMM_LENGTH]):
        return None
    return GuestKey(IdentifiedBy.NAME, f"{host}\0{name}")


def by_vm(vm_id: str) -> GuestKey:
    """Return what identifies a VM that is a guest of its own."""
    return GuestKey(IdentifiedBy.VM, vm_id)
