# SPDX-License-Identifier: Apache-2.0
"""A process that applies numbered batches, and prints each number once acknowledged, until it is killed."""

import itertools
import os
import sys
from collections.abc import Iterator

from backend.store import open_store
from faultmodel.wire import Batch
from tests.batches import START_NS, exit_record, fault_count, make_batch

COUNT_PER_BATCH = 300


def batches_to_send(first: int, last: int | None = None) -> Iterator[Batch]:
    """Yield the batches from number ``first`` up to and without ``last``."""
    numbers = itertools.count(first) if last is None else range(first, last)
    for number in numbers:
        counts = [fault_count(second=number, word=word) for word in range(COUNT_PER_BATCH)]
        yield make_batch(number, fault_counts=counts, exits=[exit_record()])


def main() -> None:
    """Apply batches for ever."""
    url, first = sys.argv[1:]
    store = open_store(url)
    for batch in batches_to_send(int(first)):
        store.apply(batch, START_NS)
        # One write to the pipe: a number is there whole or not at all.
        os.write(1, f"{batch.sequence}\n".encode())


if __name__ == "__main__":
    main()
