"""The BPF programs as one text, with everything that they are compiled with."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from collector.probe.layout import EXIT_REASONS, FORMATS, SYNDROMES
from collector.probe.plan import Plan

_FOLDER = Path(__file__).parent / "bpf"
_MAIN = _FOLDER / "faults.bpf.c"
_LAYOUT = (_FOLDER / "event.h", _FOLDER / "maps.bpf.h")

_VISITORS = 65_536
_WAKEUP_RECORDS = 16_384
_PAGE_BYTES = 4096
"""PAGE_SIZE as headers.py gives it to BCC, by which BCC multiplies; not the host's."""
_FINGERPRINT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept in the kernel. What does not fit is counted as lost, or more slowly.

    ``homes``, a power of two: threads that have one are counted faster. ``syndromes`` and ``exit_reasons``:
    how many of a vCPU are counted in place, at most ``layout.SYNDROMES`` and ``layout.EXIT_REASONS``; the
    others go to maps of ``keys`` entries. Ring buffers are in bytes, powers of two.
    """

    vms: int = 4096
    vcpus: int = 262_144
    keys: int = 262_144
    homes: int = 8192
    syndromes: int = SYNDROMES
    exit_reasons: int = EXIT_REASONS
    exit_ring_bytes: int = 1 << 20
    fault_ring_bytes: int = 4 << 20

    def flags(self) -> tuple[str, ...]:
        """Return them as the compiler's flags."""
        return (
            f"-DMAX_VMS={self.vms}",
            f"-DMAX_VCPUS={self.vcpus}",
            f"-DMAX_KEYS={self.keys}",
            f"-DHOMES={self.homes}",
            f"-DVISITORS={_VISITORS}",
            f"-DSYNDROMES_IN_PLACE={self.syndromes}",
            f"-DEXIT_REASONS_IN_PLACE={self.exit_reasons}",
            f"-DEXIT_RING_PAGES={self.exit_ring_bytes // _PAGE_BYTES}",
            f"-DFAULT_RING_PAGES={self.fault_ring_bytes // _PAGE_BYTES}",
            f"-DWAKEUP_RECORDS={_WAKEUP_RECORDS}",
        )


@dataclass(frozen=True, slots=True)
class Source:
    """What is compiled, and what tells one version of it from another.

    ``fingerprint`` is of everything; ``layout`` as ``layout_digest`` has it.
    """

    text: str
    flags: tuple[str, ...]
    fingerprint: bytes
    layout: bytes


def make_source(plan: Plan, limits: Limits | None = None) -> Source:
    """Return the programs for a plan."""
    numbers = {name: number for number, name in FORMATS.items()}
    bounds = (limits or Limits()).flags()
    flags = (
        *bounds,
        f"-DPAGE_FAULT_FORMAT={numbers[plan.flavour.page_fault_format]}",
        *(f"-D{macro}" for macro in plan.macros),
    )
    text = _one_text()
    return Source(text, flags, _digest("\n".join([text, *flags])), layout_digest())


def layout_digest() -> bytes:
    """Return what tells how maps are laid out from how others are, whose readers cannot read them.

    How large they are the kernel tells, and comments change nothing.
    """
    text = "\n".join(path.read_text() for path in _LAYOUT)
    return _digest(" ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split()))


def _one_text() -> str:
    """Paste what is included: BCC rewrites map accesses in its main file only."""
    parts = []
    for line in _MAIN.read_text().splitlines():
        included = re.fullmatch(r'#include "(.+)"', line)
        parts.append((_FOLDER / included[1]).read_text() if included else line)
    return "\n".join(parts)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_FINGERPRINT_BYTES).digest()
