# SPDX-License-Identifier: Apache-2.0
"""Answers about time that is over: right until a late batch counts in it, or a batch describes a VM anew."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from backend.store.contract.changes import Version
from backend.store.contract.store import Store

_MOST_BYTES = 16 * 1024 * 1024

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_Answer]):
    answer: _Answer
    version: Version
    """What it is at least as new as."""
    size: int


class ClosedAnswers(Generic[_Answer]):
    """The answers that were asked for last, in so many bytes. Thread-safe."""

    def __init__(self, store: Store, *, most_bytes: int = _MOST_BYTES) -> None:
        self._store = store
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, _Kept[_Answer]] = OrderedDict()
        self._lock = Lock()

    def find(self, question: Hashable, to_ms: int) -> tuple[_Answer | None, Version]:
        """Return the answer to a question if it is still right, and the version of the store.

        :param to_ms: the end of all that the answer depends on, UTC ms
        """
        version = self._store.version()
        with self._lock:
            kept = self._kept.get(question)
        if kept is None:
            return None, version
        same_ms = self._store.same_before(kept.version, version)
        described = self._store.described_between(kept.version, version)
        if same_ms < to_ms or described is None or described:
            return None, version
        # From here on less has to be known of what changed.
        self.keep(question, kept.answer, version, kept.size)
        return kept.answer, version

    def keep(self, question: Hashable, answer: _Answer, version: Version, size: int) -> None:
        """Keep an answer.

        :param version: read before the answer was made
        :param size: its bytes
        """
        if size > self._most_bytes // 4:
            return
        with self._lock:
            if (before := self._kept.pop(question, None)) is not None:
                self._bytes -= before.size
            self._kept[question] = _Kept(answer, version, size)
            self._bytes += size
            while self._bytes > self._most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].size
