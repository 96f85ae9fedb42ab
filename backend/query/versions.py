"""Names of states of the store that answers were made of, so that a reader can ask what has changed since."""

import secrets
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from backend.query.grid import Grid
from backend.store.base import Store
from backend.store.changes import Version
from backend.store.values import VmMember

_MOST = 500
"""Names that are known at once: a page that follows the present uses each for some seconds."""
PATTERN = "^[A-Za-z0-9_-]{1,64}$"


@dataclass(frozen=True, slots=True)
class _State:
    version: Version
    question: Hashable
    grid: Grid
    life_ends: Mapping[int, int] | None
    """When each of the VMs that were chosen was seen last, by number; None where every VM was."""


class Versions:
    """The states that were named lately. Thread-safe."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._lock = Lock()
        self._start = secrets.token_urlsafe(6)
        self._count = 0

    def name(
        self, version: Version, chosen: Sequence[VmMember] | None, question: Hashable, grid: Grid
    ) -> str:
        """Name the state in which a question was answered about VMs; None for every VM."""
        life_ends = None if chosen is None else {vm.number: vm.life_end_ms for vm in chosen}
        with self._lock:
            self._count += 1
            name = f"{self._start}-{self._count}"
            self._states[name] = _State(version, question, grid, life_ends)
            if len(self._states) > _MOST:
                self._states.popitem(last=False)
        return name

    def changed_from(
        self,
        name: str,
        store: Store,
        version: Version,
        chosen: Sequence[VmMember] | None,
        question: Hashable,
        grid: Grid,
    ) -> int:
        """Return the time, UTC ms, from which on an answer may differ from that of a named state.

        It is 0 where the state is not known any more, or was that of another question.
        """
        with self._lock:
            state = self._states.get(name)
        if state is None or state.question != question or grid.from_ms < state.grid.from_ms:
            return 0
        changed_ms = min(store.same_before(state.version, version), state.grid.to_ms)
        if state.life_ends is None or chosen is None:
            return changed_ms
        now = {vm.number for vm in chosen}
        # Who left the range takes nothing of it away; who does not fit the choice any more, for example
        # because a name became known, does.
        if any(end_ms >= grid.from_ms for number, end_ms in state.life_ends.items() if number not in now):
            return 0
        return min([changed_ms, *(vm.first_seen_ms for vm in chosen if vm.number not in state.life_ends)])
