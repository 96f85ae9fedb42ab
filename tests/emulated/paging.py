# SPDX-License-Identifier: Apache-2.0
"""The words that x86 has for faults, with each kind of paging."""

from dataclasses import dataclass

_WALK = 0x2_0000_0006


@dataclass(frozen=True, slots=True)
class Paging:
    """One kind of paging.

    ``final`` is the bit of a fault on a final guest-physical address; ``walks`` how many faults a guest takes
    before its first, on the walk of its own page tables: one for each of their levels, as writes, since the
    walk sets accessed bits.
    """

    flavour: str
    format: str
    final: int
    walks: int

    def word(self, bits: int) -> int:
        """Return the word of a final fault with these lower bits."""
        return self.final | bits

    def counts(
        self,
        read: int,
        *,
        write: int = 0,
        fetch: int = 1,
        protected: int = 0,
        mmio_write: int = 0,
        warm_ups: int = 1,
    ) -> dict[int, int]:
        """Return the counts by word of what a guest did; every guest fetches once.

        :param read: as the guest counts it, the walks among them
        :param protected: writes to pages that are write-protected
        :param mmio_write: writes to pages known as a device's
        :param warm_ups: how often the guest began with all of its mappings gone
        """
        walks = self.walks * warm_ups
        of_final = {0x4: read - walks, 0x6: write, 0x7: protected, 0xE: mmio_write, 0x14: fetch}
        counts = {self.word(bits): count for bits, count in of_final.items()} | {_WALK: walks}
        return {word: count for word, count in counts.items() if count}


NESTED = Paging("svm", "npf", 0x1_0000_0000, walks=4)
SHADOW = Paging("svm-shadow", "pferr", 0, walks=0)
