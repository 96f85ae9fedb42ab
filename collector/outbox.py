"""Numbers batches, cuts them to size and puts them into the spool."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.spool import Spool
from faultmodel import wire
from faultmodel.ledger import unrecorded_ledger
from faultmodel.record import ExitCount, Host, Loss, Span, Vm

_CUT_BYTES = wire.MAX_BATCH_BYTES // 4
"""Sizes are estimates, from above; the server refuses what is over the whole."""
_CUT_ROWS = 4096
"""Of one VM and kind in one piece; one VM alone may have more than a batch takes."""
_VM_BYTES = 2048
_FAULT_COUNT_BYTES = 160
_EXIT_COUNT_BYTES = 64
_EXIT_BYTES = 512


@dataclass(slots=True)
class Content:
    """What one reading has to say. Every VM that the rest names is among ``vms``."""

    vms: Sequence[Vm] = ()
    fault_counts: Sequence[Any] = ()
    exit_counts: Sequence[ExitCount] = ()
    exits: Sequence[Any] = ()
    lost: Sequence[Loss] = ()
    covered: Sequence[Span] = ()


@dataclass(slots=True)
class _Part:
    vms: list[Vm] = field(default_factory=list)
    fault_counts: list[Any] = field(default_factory=list)
    exit_counts: list[ExitCount] = field(default_factory=list)
    exits: list[Any] = field(default_factory=list)
    size: int = 0

    def add(self, vm: Vm, faults: Sequence[Any], counts: Sequence[ExitCount], exits: Sequence[Any]) -> None:
        """Add a VM with some of its rows."""
        if vm not in self.vms[-1:]:
            self.vms.append(vm)
        self.fault_counts += faults
        self.exit_counts += counts
        self.exits += exits
        self.size += _VM_BYTES + _FAULT_COUNT_BYTES * len(faults)
        self.size += _EXIT_COUNT_BYTES * len(counts) + _EXIT_BYTES * len(exits)


class Outbox:
    """The batches of one stream: one start of one collector."""

    def __init__(self, spool: Spool, arch: str) -> None:
        self._spool = spool
        self._arch = arch
        self._stream = uuid.uuid4().hex
        self._sequence = 0

    def send(self, host: Host, content: Content) -> None:
        """Put a reading into the spool, as one batch or, where it is large, several."""
        parts = list(_parts(content))
        for part in parts[:-1]:
            self._put(host, part, Content())
        self._put(host, parts[-1], content)

    def _put(self, host: Host, part: _Part, whole: Content) -> None:
        """Coverage and losses go with the last part: a span counts as covered once all of it has arrived."""
        dropped = self._spool.dropped_batches
        lost = (*whole.lost, Loss("spool_batches", dropped)) if dropped else tuple(whole.lost)
        batch = wire.Batch(
            host=host,
            stream=self._stream,
            sequence=self._sequence,
            arch=self._arch,
            counting=self._stream,
            covered=tuple(whole.covered),
            vms=tuple(part.vms),
            fault_counts=tuple(part.fault_counts),
            exit_counts=tuple(part.exit_counts),
            exits=tuple(part.exits),
            ledger=unrecorded_ledger(0, part.fault_counts, {}),
            lost=lost,
        )
        self._sequence += 1
        self._spool.put(wire.encode(batch), reporting=dropped)


def _parts(content: Content) -> Iterator[_Part]:
    """Cut the content so that each part is small enough and describes every VM that it counts for."""
    faults, counts, exits = _by_vm(content.fault_counts), _by_vm(content.exit_counts), _by_vm(content.exits)
    part = _Part()
    for vm in content.vms:
        rows = max(len(faults[vm.id]), len(counts[vm.id]), len(exits[vm.id]), 1)
        for first in range(0, rows, _CUT_ROWS):
            some = slice(first, first + _CUT_ROWS)
            part.add(vm, faults[vm.id][some], counts[vm.id][some], exits[vm.id][some])
            if part.size > _CUT_BYTES:
                yield part
                part = _Part()
    yield part


def _by_vm(items: Iterable[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        grouped[item.vm].append(item)
    return grouped
