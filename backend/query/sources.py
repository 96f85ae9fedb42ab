# SPDX-License-Identifier: Apache-2.0
"""What questions are answered from: the store, and what is remembered of earlier answers."""

from dataclasses import dataclass
from typing import Self

from backend.query.blocks import Blocks
from backend.query.versions import Versions
from backend.store.contract.store import Store


@dataclass(frozen=True, slots=True)
class Sources:
    """A store with its sums and the names of its states."""

    store: Store
    blocks: Blocks
    versions: Versions

    @classmethod
    def of(cls, store: Store) -> Self:
        """Return a store with nothing remembered yet."""
        return cls(store, Blocks(store), Versions())
