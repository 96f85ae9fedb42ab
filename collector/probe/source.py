"""The BPF programs as one text, with everything that they are compiled with."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from collector.probe.layout import FORMATS
from collector.probe.plan import Plan

_FOLDER = Path(__file__).parent
_MAIN = _FOLDER / "faults.bpf.c"
_LAYOUT = (_FOLDER / "event.h", _FOLDER / "maps.bpf.h")

HOMES = 8192
"""A power of two. Threads that have one are counted faster; the others are counted all the same."""
MAX_VMS = 4096
MAX_VCPUS = 262_144
MAX_KEYS = 1_048_576
EXIT_RING_BYTES = 1 << 20
FAULT_RING_BYTES = 4 << 20
_WAKEUP_RECORDS = 16_384
_PAGE_BYTES = 4096
_FINGERPRINT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Source:
    """What is compiled, and what tells one version of it from another.

    ``fingerprint`` is of everything; ``layout`` of what a reader must know to read the maps.
    """

    text: str
    flags: tuple[str, ...]
    fingerprint: bytes
    layout: bytes


def make_source(plan: Plan) -> Source:
    """Return the programs for a plan."""
    numbers = {name: number for number, name in FORMATS.items()}
    limits = (
        f"-DHOMES={HOMES}",
        f"-DMAX_VMS={MAX_VMS}",
        f"-DMAX_VCPUS={MAX_VCPUS}",
        f"-DMAX_KEYS={MAX_KEYS}",
        f"-DEXIT_RING_PAGES={EXIT_RING_BYTES // _PAGE_BYTES}",
        f"-DFAULT_RING_PAGES={FAULT_RING_BYTES // _PAGE_BYTES}",
        f"-DWAKEUP_RECORDS={_WAKEUP_RECORDS}",
    )
    flags = (
        *limits,
        f"-DPAGE_FAULT_FORMAT={numbers[plan.flavour.page_fault_format]}",
        *(f"-D{macro}" for macro in plan.macros),
    )
    text = _one_text()
    layout = "\n".join([*(path.read_text() for path in _LAYOUT), *limits])
    return Source(text, flags, _digest("\n".join([text, *flags])), _digest(layout))


def _one_text() -> str:
    """Paste what is included: BCC rewrites map accesses in its main file only."""
    parts = []
    for line in _MAIN.read_text().splitlines():
        included = re.fullmatch(r'#include "(.+)"', line)
        parts.append((_FOLDER / included[1]).read_text() if included else line)
    return "\n".join(parts)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_FINGERPRINT_BYTES).digest()
