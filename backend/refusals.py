# SPDX-License-Identifier: Apache-2.0
"""Counts batches that were refused, by token, reason and stream: they are what the store lacks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock, Thread

from backend.errors import StoreError
from backend.store.contract.access import Refusal
from backend.store.contract.store import Store
from faultmodel.problem import MOST_DETAIL, ProblemCode
from faultmodel.text import cut
from faultmodel.wire import BatchName

_MOST_STREAMS = 16
"""Of one token and reason that wait to be written: of more, it is not kept which batches they were."""
_PAUSE_NS = 10**9
"""One token's refusals of one reason are written so often at most, however many there are."""
_WRITE_S = 5.0
"""So soon they are written all the same: whoever asks another server for them sees them there."""
_STOP_S = 5.0


class Refusals:
    """Adds up refusals and writes them to the store. Thread-safe.

    As many are kept as there are tokens and reasons, times a few streams: those without a known token are
    counted as one.
    """

    def __init__(self, store: Store, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._lock = Lock()
        self._waiting: dict[tuple[str, str, str], Refusal] = {}
        self._written_ns: dict[tuple[str, str], int] = {}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write what waits every few seconds until the end of the block, and at that end."""
        stopping = Event()

        def write_on() -> None:
            while not stopping.wait(_WRITE_S):
                self.write()
            self.write()

        # A daemon: a database that does not answer does not keep the server from ending.
        thread = Thread(target=write_on, name="refusals", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(_STOP_S)

    def note(
        self, token: str, host: str, code: ProblemCode, detail: str, batch: BatchName | None = None
    ) -> None:
        """Count a refusal.

        :param token: the token's hash, empty where it was none or not known
        :param host: whose token it is, empty where that is not known
        :param batch: which it was, where that is known
        """
        now_ns = self._now_ns()
        new = Refusal(
            token=token,
            code=code,
            host=host,
            detail=cut(detail, MOST_DETAIL),
            count=1,
            first_ns=now_ns,
            last_ns=now_ns,
            batch=batch,
        )
        with self._lock:
            kind = token, code.value
            key = _key(new)
            if key not in self._waiting and sum(one[:2] == kind for one in self._waiting) >= _MOST_STREAMS:
                new = replace(new, batch=None)
                key = _key(new)
            before = self._waiting.get(key)
            if before is not None:
                new = replace(new, count=before.count + 1, first_ns=before.first_ns)
            self._waiting[key] = new
            is_due = now_ns - self._written_ns.get(kind, 0) >= _PAUSE_NS
        # A database that cannot be used is not asked to wait for once more: they are written later.
        if is_due and code is not ProblemCode.DATABASE:
            self.write()

    def write(self) -> None:
        """Write what was counted. Where the database cannot take it now, it stays."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        if not taken:
            return
        try:
            self._store.add_refusals(list(taken.values()))
        except StoreError:
            with self._lock:
                for key, refusal in taken.items():
                    later = self._waiting.get(key)
                    self._waiting[key] = (
                        refusal
                        if later is None
                        else replace(later, count=later.count + refusal.count, first_ns=refusal.first_ns)
                    )
            return
        with self._lock:
            self._written_ns |= {key[:2]: refusal.last_ns for key, refusal in taken.items()}


def _key(refusal: Refusal) -> tuple[str, str, str]:
    return refusal.token, refusal.code.value, refusal.batch.stream if refusal.batch else ""
