# SPDX-License-Identifier: Apache-2.0
"""Requests of the server to record every fault of a VM, as its receipts bring them. They are kept in memory.

A receipt says for how many seconds more each is to last, so that no clock has to agree with another, and 0
for one that was withdrawn. That a receipt does not name a request says nothing: of several servers, one may
not have heard of it yet. Each ends by itself.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import msgspec

from faultmodel.record import Vm, VmId
from faultmodel.record_answers import LONGEST_S, RequestId

_MOST = 64
"""Kept at a time; a server has ten open."""
_FORGOTTEN_S = 60.0
"""After its end: a receipt that names it may have been under way."""


class Asked(msgspec.Struct, frozen=True):
    """A request as a receipt has it. ``vm``: the id that this host gave the VM."""

    id: RequestId
    vm: VmId
    seconds: float


class ServerRequest(msgspec.Struct, frozen=True):
    """Record every fault of the VM with this id."""

    id: str
    vm: str

    def means(self, vm: Vm) -> bool:
        """Return whether the request means this VM."""
        return vm.ended_ns is None and vm.id == self.vm


@dataclass(slots=True)
class _Kept:
    request: ServerRequest
    ends_s: float
    """By the monotonic clock."""
    is_withdrawn: bool = False
    has_ended: bool = False


class ServerRequests:
    """What the server asks for now. Thread-safe: receipts come in another thread than readings."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}
        self._parts = 0

    def next_part(self) -> int:
        """Return the number of a new run of readings, by which the sums of an earlier one stay apart."""
        with self._lock:
            self._parts += 1
            return self._parts - 1

    def take(self, asked: Sequence[Asked]) -> None:
        """Take what a receipt says. What was withdrawn or has ended stays so, whatever a later one says."""
        now_s = self._monotonic()
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if kept.ends_s + _FORGOTTEN_S > now_s}
            for one in asked:
                kept = self._kept.get(one.id)
                left_s = min(max(one.seconds, 0.0), LONGEST_S)
                if left_s == 0.0:
                    self._withdraw(one, kept, now_s)
                elif kept is not None:
                    kept.ends_s = now_s + left_s
                elif len(self._kept) < _MOST:
                    self._kept[one.id] = _Kept(ServerRequest(one.id, one.vm), now_s + left_s)

    def _withdraw(self, one: Asked, kept: _Kept | None, now_s: float) -> None:
        if kept is not None:
            kept.is_withdrawn = True
        elif len(self._kept) < _MOST:
            # Another server may still name it.
            request = ServerRequest(one.id, one.vm)
            self._kept[one.id] = _Kept(request, now_s + LONGEST_S, is_withdrawn=True)

    def active(self) -> Sequence[ServerRequest]:
        """Return the requests that go on."""
        now_s = self._monotonic()
        with self._lock:
            return [
                kept.request
                for kept in self._kept.values()
                if not kept.is_withdrawn and not kept.has_ended and kept.ends_s > now_s
            ]

    def is_withdrawn(self, request: ServerRequest) -> bool:
        """Return whether the server has withdrawn a request."""
        with self._lock:
            kept = self._kept.get(request.id)
            return kept is not None and kept.is_withdrawn

    def end(self, request: ServerRequest) -> None:
        """End a request before its time: its VM has ended."""
        with self._lock:
            if kept := self._kept.get(request.id):
                kept.has_ended = True
