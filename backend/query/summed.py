# SPDX-License-Identifier: Apache-2.0
"""What is summed and kept (``blocks``): of which owners there are sums, and how a store is asked for them."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from backend.query.rate_keys import By, Metric, keyed
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.record import ExitKind

Sums = Mapping[Any, int]
"""Counts by their owner: by a VM's number, or by the key of a series. One without any is not there."""
NONE: Sums = {}


class Account(StrEnum):
    """What became of a VM's guest faults, in figures of which most are 0, so that they are not kept.

    ``COUNTED_OFF`` and ``SAMPLED_OFF``: by how much more were counted, or sampled out, than the others leave.
    """

    SEEN = "seen"
    UNCOUNTED = "uncounted"
    RECORDED = "recorded"
    DROPPED = "dropped"
    COUNTED_OFF = "counted_off"
    SAMPLED_OFF = "sampled_off"


Kind = ExitKind | By | Account | None
"""What is counted; None: guest faults."""
Row = tuple[Kind, int, int | str, int]
"""What is counted, the number of the step, the owner, and the count."""


class Summed(Protocol):
    """Sums of some kinds.

    ``are_followed``: what was counted of them from one version to the next is known
    (``Store.counted_between``). ``are_within_lives``: none are of a time at which no VM is
    known to have been there.
    """

    @property
    def kinds(self) -> Sequence[Kind]:
        """Return every kind."""

    @property
    def are_followed(self) -> bool:
        """Return whether what was counted since a version is known."""

    @property
    def are_within_lives(self) -> bool:
        """Return whether none are of a time at which no VM is known to have been there."""

    def read_with(self, kind: Kind) -> Sequence[Kind]:
        """Return the kinds that are read at once with this one, itself included."""

    def read(self, store: Store, kind: Kind, steps: Steps) -> Iterator[Row]:
        """Yield counts of steps, in no order. An owner may come several times, which adds up."""


class OfVms:
    """Faults (None) and exits of every VM, by its number."""

    kinds = (None, *ExitKind)
    are_followed = True
    are_within_lives = True

    def read_with(self, kind: Kind) -> Sequence[Kind]:
        """Return faults alone, or every kind of exits."""
        return (None,) if kind is None else tuple(ExitKind)

    def read(self, store: Store, kind: Kind, steps: Steps) -> Iterator[Row]:
        """Yield counts of the store."""
        if kind is None:
            for vm, step, faults in store.fault_sums(steps):
                yield None, step, vm, faults
            return
        for vm, step, counts in store.exit_sums(steps):
            for of_kind, count in zip(ExitKind, counts, strict=True):
                yield of_kind, step, vm, count


class OfSeries:
    """Faults of all VMs together, by the keys of series. Their words are decoded once, when they are summed.

    So there are a few dozen sums of a block, however many words a host makes up.
    """

    kinds = (By.FLAG, By.ACCESS, By.LEVEL)
    are_followed = False
    are_within_lives = True

    def read_with(self, kind: Kind) -> Sequence[Kind]:
        """Return the kind alone."""
        return (kind,)

    def read(self, store: Store, kind: Kind, steps: Steps) -> Iterator[Row]:
        """Yield counts of the store."""
        for start_ms, key, count in keyed(store, None, Metric.FAULTS, By(str(kind)), steps, {}):
            yield kind, (start_ms - steps.from_ms) // steps.step_ms, key, count


class OfAccounts:
    """What became of the faults of every VM, by its id."""

    kinds = tuple(Account)
    are_followed = False
    are_within_lives = False

    def read_with(self, kind: Kind) -> Sequence[Kind]:
        """Return every kind."""
        return self.kinds

    def read(self, store: Store, kind: Kind, steps: Steps) -> Iterator[Row]:
        """Yield figures of the store."""
        for step, vm, seen, counted, uncounted, recorded, sampled_out, dropped in store.ledger_sums(steps):
            yield Account.SEEN, step, vm, seen
            # Nearly every VM has none of the others.
            if uncounted:
                yield Account.UNCOUNTED, step, vm, uncounted
            if recorded:
                yield Account.RECORDED, step, vm, recorded
            if dropped:
                yield Account.DROPPED, step, vm, dropped
            if counted != seen - uncounted:
                yield Account.COUNTED_OFF, step, vm, counted - (seen - uncounted)
            if sampled_out != seen - recorded - dropped:
                yield Account.SAMPLED_OFF, step, vm, sampled_out - (seen - recorded - dropped)


OF_VMS = OfVms()
OF_ACCOUNTS = OfAccounts()
OF_SERIES = OfSeries()
