# SPDX-License-Identifier: Apache-2.0
"""The BPF programs as one text, with everything that they are compiled with."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from collector.probe.layout import FORMATS, NOT_SHOWN, NOT_SHOWN_8, NOT_SHOWN_32, OUTCOMES, RecordLevel
from collector.probe.plan import Plan

FOLDER = Path(__file__).parent / "bpf"
_MAIN = "faults.bpf.c"

_OVERFLOW_THREADS = 65_536
_WAKEUP_RECORDS = 16_384
_STACKS = 2048
"""Different stacks in which vCPUs fall asleep: some hundred. Each has 0.5 kB in the kernel."""
TIMED_PER_READING = 4096
"""How many faults a vCPU may take the time of from one reading to the next; to take it costs two readings of
the clock. Of further ones, one in ``TIMED_ONE_IN``."""
TIMED_ONE_IN = 16
_PAGE_BYTES = 4096
"""PAGE_SIZE as headers.py gives it to BCC, by which BCC multiplies; not the host's."""
_FINGERPRINT_BYTES = 16
_MEANINGS = (
    *(f"-DFORMAT_{name.upper()}={number}" for number, name in FORMATS.items()),
    *(f"-DOUTCOME_{outcome.name}={number}" for number, outcome in OUTCOMES.items()),
    *(f"-DRECORD_{level.name}={level.value}" for level in RecordLevel),
    f"-DNOT_SHOWN={NOT_SHOWN}ULL",
    f"-DNOT_SHOWN_32={NOT_SHOWN_32}U",
    f"-DNOT_SHOWN_8={NOT_SHOWN_8}",
)
"""The numbers in maps and records that have a meaning (``layout``), as macros for the programs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes of the maps. What does not fit is counted as lost, or counted more slowly.

    ``slots``, a power of two: threads that have one are counted faster. ``syndromes`` and ``exit_reasons``:
    how many of a vCPU are counted in place; None for as many as event.h has room for. Further ones are in
    maps of ``keys`` entries. ``waits``: stacks in which vCPUs fall asleep, of each VM. Ring buffers are in
    bytes, powers of two.
    """

    vms: int = 4096
    overflow: int = 262_144
    keys: int = 262_144
    waits: int = 65_536
    slots: int = 8192
    syndromes: int | None = None
    exit_reasons: int | None = None
    exit_ring_bytes: int = 1 << 20
    fault_ring_bytes: int = 4 << 20

    def flags(self) -> tuple[str, ...]:
        """Return them as the compiler's flags."""
        return (
            f"-DMAX_VMS={self.vms}",
            f"-DMAX_OVERFLOW={self.overflow}",
            f"-DMAX_KEYS={self.keys}",
            f"-DSLOTS={self.slots}",
            f"-DMAX_OVERFLOW_THREADS={_OVERFLOW_THREADS}",
            f"-DSYNDROMES_IN_PLACE={'SYNDROMES' if self.syndromes is None else self.syndromes}",
            f"-DEXIT_REASONS_IN_PLACE={'EXIT_REASONS' if self.exit_reasons is None else self.exit_reasons}",
            f"-DEXIT_RING_PAGES={self.exit_ring_bytes // _PAGE_BYTES}",
            f"-DFAULT_RING_PAGES={self.fault_ring_bytes // _PAGE_BYTES}",
            f"-DWAKEUP_RECORDS={_WAKEUP_RECORDS}",
            f"-DTIMED_PER_READING={TIMED_PER_READING}",
            f"-DMAX_STACKS={_STACKS}",
            f"-DMAX_WAITS={self.waits}",
            f"-DTIMED_ONE_IN={TIMED_ONE_IN}",
        )


@dataclass(frozen=True, slots=True)
class Source:
    """What is compiled, and ``fingerprint``, which differs between versions of it."""

    text: str
    flags: tuple[str, ...]
    fingerprint: bytes


def make_source(plan: Plan, limits: Limits | None = None, folder: Path = FOLDER) -> Source:
    """Return the programs for a plan.

    :param folder: where they are
    """
    flags = (
        *(limits or Limits()).flags(),
        *_MEANINGS,
        f"-DPAGE_FAULT_FORMAT=FORMAT_{plan.flavour.page_fault_format.upper()}",
        *(f"-D{macro}" for macro in plan.macros),
    )
    text = one_text(folder, _MAIN)
    return Source(
        text, flags, blake2b("\n".join([text, *flags]).encode(), digest_size=_FINGERPRINT_BYTES).digest()
    )


def one_text(folder: Path, main: str) -> str:
    """Return a main file with its includes pasted in: BCC rewrites map accesses in one file only."""
    parts = []
    for line in (folder / main).read_text().splitlines():
        included = re.fullmatch(r'#include "(.+)"', line)
        parts.append((folder / included[1]).read_text() if included else line)
    return "\n".join(parts)
