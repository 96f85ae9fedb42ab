# SPDX-License-Identifier: Apache-2.0
"""Cursors: where a page ended, as opaque text that only this server reads."""

import base64
import binascii
import re
import struct
from enum import Enum
from typing import Any

from backend.errors import ParameterError
from backend.store.contract.looks import MemslotPlace
from backend.store.contract.values import SyndromePlace
from backend.store.contract.vms import VmPlace

PATTERN = "^[A-Za-z0-9_-]{1,64}$"

_VM = struct.Struct(">c?q16s")
_SORTED = struct.Struct(">cI16s")
_MOST_PLACE = 2**31
"""Far beyond every list: the next page's place is to fit, too."""
_PLACE = struct.Struct(">cqq")
_EVENT = struct.Struct(">cqI")
_MEMSLOT = struct.Struct(">c16sIIq")
_SYNDROME = struct.Struct(">cqQ16s")
_VM_MARK = b"v"
_EVENT_MARK = b"t"
_MEMSLOT_MARK = b"m"
_SYNDROME_MARK = b"w"
_FORMAT = re.compile(rb"([a-z0-9_]*)\0*")
_ID = re.compile(rb"[0-9a-f]{16}")
_WRONG_EVENT = "this is no id of an event of this stream; leave it out to begin with what comes from now on"
_WRONG = "this is no cursor of this list; take next_cursor of the page before"


class Listed(Enum):
    """A list, most in the order of time and position. Its value marks its cursors.

    Of stalls, outcomes, waits, pressure, causes, livelocks, faults under way, KVM's own counts and alerts
    the position is how many items the pages before had.
    """

    EXITS = b"e"
    FAULTS = b"f"
    HOST_EVENTS = b"h"
    VCPUS = b"c"
    STALLS = b"t"
    OUTCOMES = b"o"
    KVM_STATS = b"k"
    WAITS = b"a"
    PRESSURES = b"p"
    CAUSES = b"r"
    LIVELOCKS = b"l"
    OUTSTANDING = b"u"
    ALERTS = b"n"


class Sorted(Enum):
    """A list that is sorted anew for each page. Its value marks its cursors."""

    VMS = b"s"
    GUESTS = b"g"


def vm_cursor(place: VmPlace) -> str:
    """Return the cursor after the VM at this place."""
    return _text(_VM.pack(_VM_MARK, place.has_ended, place.first_seen_ms, place.id.encode("ascii")))


def read_vm_cursor(text: str) -> VmPlace:
    """Return the place of the last VM of the page before.

    :raises ParameterError: it is no cursor
    """
    mark, has_ended, first_seen_ms, vm_id = _unpack(_VM, text)
    if mark != _VM_MARK or not _ID.fullmatch(vm_id):
        raise ParameterError("cursor", _WRONG)
    return VmPlace(has_ended, first_seen_ms, vm_id.decode("ascii"))


def sorted_cursor(listed: Sorted, place: int, item_id: str) -> str:
    """Return the cursor after the VM or guest that is so far down in this list."""
    return _text(_SORTED.pack(listed.value, place, item_id.encode("ascii")))


def read_sorted_cursor(listed: Sorted, text: str | None) -> tuple[int, str] | None:
    """Return how many items the pages before had, and the last one's id; None for the first page.

    :raises ParameterError: it is no cursor of this list
    """
    if text is None:
        return None
    mark, place, item_id = _unpack(_SORTED, text)
    if mark != listed.value or place > _MOST_PLACE or not _ID.fullmatch(item_id):
        raise ParameterError("cursor", _WRONG)
    return place, item_id.decode("ascii")


def syndrome_cursor(place: SyndromePlace) -> str:
    """Return the cursor after the word at this place."""
    return _text(_SYNDROME.pack(_SYNDROME_MARK, place.faults, place.word, place.format.encode("ascii")))


def read_syndrome_cursor(text: str | None) -> SyndromePlace | None:
    """Return the place of the last word of the page before, None for the first page.

    :raises ParameterError: it is no cursor of raw words
    """
    if text is None:
        return None
    mark, faults, word, packed = _unpack(_SYNDROME, text)
    form = _FORMAT.fullmatch(packed)
    if mark != _SYNDROME_MARK or faults < 0 or form is None:
        raise ParameterError("cursor", _WRONG)
    return SyndromePlace(faults, word, form[1].decode("ascii"))


def memslot_cursor(place: MemslotPlace) -> str:
    """Return the cursor after the memslot at this place."""
    vm_id, *numbers = place
    return _text(_MEMSLOT.pack(_MEMSLOT_MARK, vm_id.encode("ascii"), *numbers))


def read_memslot_cursor(text: str | None) -> MemslotPlace | None:
    """Return the place of the last memslot of the page before, None for the first page.

    :raises ParameterError: it is no cursor of memslots
    """
    if text is None:
        return None
    mark, vm_id, address_space, slot, from_ns = _unpack(_MEMSLOT, text)
    if mark != _MEMSLOT_MARK or not _ID.fullmatch(vm_id):
        raise ParameterError("cursor", _WRONG)
    return vm_id.decode("ascii"), address_space, slot, from_ns


def place_cursor(listed: Listed, time_ns: int, position: int) -> str:
    """Return the cursor after the item of this list at this place."""
    return _text(_PLACE.pack(listed.value, time_ns, position))


def read_place_cursor(listed: Listed, text: str | None) -> tuple[int, int] | None:
    """Return (time_ns, position) of the last item of the page before, None for the first page.

    :raises ParameterError: it is no cursor of this list
    """
    if text is None:
        return None
    mark, time_ns, position = _unpack(_PLACE, text)
    if mark != listed.value:
        raise ParameterError("cursor", _WRONG)
    return time_ns, position


def event_id(position: int, known_s: int) -> str:
    """Return the id of an event of a stream: all up to a number was sent, as of a time, UTC s."""
    return _text(_EVENT.pack(_EVENT_MARK, position, known_s))


def read_event_id(name: str, text: str) -> tuple[int, int]:
    """Return number and time of the last event that a reader has. :raises ParameterError: it is no such id

    :param name: of what it came in
    """
    try:
        mark, position, known_s = _unpack(_EVENT, text)
    except ParameterError as exc:
        raise ParameterError(name, _WRONG_EVENT) from exc
    if mark != _EVENT_MARK or position < 0:
        raise ParameterError(name, _WRONG_EVENT)
    return position, known_s


def _text(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def _unpack(form: struct.Struct, text: str) -> tuple[Any, ...]:
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return form.unpack(packed)
    except (binascii.Error, struct.error, ValueError) as exc:
        raise ParameterError("cursor", _WRONG) from exc
