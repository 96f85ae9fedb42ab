# SPDX-License-Identifier: Apache-2.0
"""Names of states of the store that answers were made of, so that a reader can ask what has changed since.

A state may have ten thousands of VMs, and a thousand hosts: it is kept as few bytes, and those that states
have in common are kept once.
"""

import secrets
from array import array
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from threading import Lock
from typing import Self

from backend.store.contract.changes import FOR_EVER_MS, Version
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmMember

MOST_NAMES = 5_000
"""Known at once. A page that follows the present uses each for a second or some: 500 pages, ten each."""
MOST_BYTES = 16 * 1024 * 1024
"""Of what all states are made of. A set of 50,000 VMs takes 400 kB, the counts of 1,000 hosts 16 kB."""
PATTERN = "^[A-Za-z0-9_-]{1,64}$"


@dataclass(frozen=True, slots=True)
class State:
    """What an answer was made of. ``vms``: numbers of those that were chosen, None for every VM."""

    version: bytes
    question: bytes
    vms: bytes | None
    grid: Steps

    @classmethod
    def of(cls, version: Version, chosen: Sequence[VmMember] | None, question: Hashable, grid: Steps) -> Self:
        """Return the state in which a question is answered about VMs; None for every VM."""
        vms = None if chosen is None else _packed(sorted(vm.number for vm in chosen))
        digest = blake2b(repr(question).encode(), digest_size=16).digest()
        return cls(_packed(chain.from_iterable(sorted(version.items()))), digest, vms, grid)

    @property
    def parts(self) -> Sequence[bytes]:
        """What it may have in common with others."""
        return [self.version, self.question, *([] if self.vms is None else [self.vms])]


class Versions:
    """The states that were named lately. Thread-safe."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, State] = OrderedDict()
        self._parts = _Parts()
        self._lock = Lock()
        self._start = secrets.token_urlsafe(6)
        self._count = 0

    def name(self, state: State) -> str:
        """Name a state."""
        with self._lock:
            self._count += 1
            name = f"{self._start}-{self._count}"
            self._states[name] = self._parts.shared(state)
            while len(self._states) > MOST_NAMES or self._parts.bytes > MOST_BYTES:
                _, oldest = self._states.popitem(last=False)
                self._parts.give_back(oldest)
        return name

    def changed_from(
        self, name: str, store: Store, now: State, version: Version, chosen: Sequence[VmMember] | None
    ) -> int:
        """Return the time, UTC ms, from which on an answer may differ from that of a named state.

        It is 0 where the state is not known any more, or was that of another question.

        :param now: the state of this moment, which is that of ``version`` and ``chosen``
        """
        with self._lock:
            state = self._states.get(name)
        if state is None or state.question != now.question or now.grid.from_ms < state.grid.from_ms:
            return 0
        changed_ms = min(store.same_before(_version(state.version), version), state.grid.to_ms)
        if state.vms == now.vms or state.vms is None or chosen is None:
            return changed_ms
        return min(changed_ms, _same_vms_before(store, set(_numbers(state.vms)), chosen, now.grid.from_ms))


def _same_vms_before(store: Store, before: set[int], chosen: Sequence[VmMember], from_ms: int) -> int:
    """Return the time before which it makes no difference that other VMs are chosen than before."""
    left = before.difference(vm.number for vm in chosen)
    gone = store.members_numbered(sorted(left))
    # Who left the range takes nothing of it away; who does not fit the choice any more, for example because
    # a name became known, does. So does who was removed.
    if len(gone) < len(left) or any(vm.life_end_ms >= from_ms for vm in gone):
        return 0
    new = [vm for vm in chosen if vm.number not in before]
    # Their hosts' coverage was not in the earlier answer, or is not in this one.
    stayed = {vm.host for vm in chosen if vm.number in before}
    if any(vm.host not in stayed for vm in chain(gone, new)):
        return 0
    return min(vm.first_seen_ms for vm in new) if new else FOR_EVER_MS


class _Parts:
    """What states are made of, each kept once. ``bytes``: of all together."""

    def __init__(self) -> None:
        self.bytes = 0
        self._known: dict[bytes, tuple[bytes, int]] = {}
        """By itself, with how many states have it."""

    def shared(self, state: State) -> State:
        """Return an equal state that has its parts in common with others."""
        for part in state.parts:
            known, number = self._known.get(part, (part, 0))
            self._known[known] = known, number + 1
            self.bytes += 0 if number else len(known)
        vms = None if state.vms is None else self._known[state.vms][0]
        return State(self._known[state.version][0], self._known[state.question][0], vms, state.grid)

    def give_back(self, state: State) -> None:
        """Forget what no other state has."""
        for part in state.parts:
            known, number = self._known.pop(part)
            if number > 1:
                self._known[known] = known, number - 1
            else:
                self.bytes -= len(known)


def _packed(numbers: Iterable[int]) -> bytes:
    return array("q", numbers).tobytes()


def _numbers(packed: bytes) -> Sequence[int]:
    return array("q", packed)


def _version(packed: bytes) -> Mapping[int, int]:
    numbers = _numbers(packed)
    return dict(zip(numbers[::2], numbers[1::2], strict=True))
