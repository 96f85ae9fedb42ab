"""How maps may be laid out: as a compiler did, and with everything somewhere else."""

from collections.abc import Mapping
from pathlib import Path
from struct import calcsize

import msgspec

from collector.probe import compiled
from collector.probe.compiled import Array, Fields, Layout, Number

EARLIER = Path(compiled.__file__).parent / "earlier"
COMPILED = compiled.decode((EARLIER / "1a6e9eab6f0b8406fb99c1e10f4fbb20.json").read_bytes())


def mirrored(layout: Layout) -> Layout:
    """The same types with their fields in the opposite order."""
    return msgspec.structs.replace(
        layout, types={name: _mirrored(fields) for name, fields in layout.types.items()}
    )


def _mirrored(fields: Fields) -> Fields:
    numbers: Mapping[str, Number] = {
        name: Number(fields.size - number.offset - calcsize(f"={number.format}"), number.format)
        for name, number in fields.numbers.items()
    }
    arrays: Mapping[str, Array] = {
        name: Array(
            fields.size - array.offset - array.count * array.of.size, array.count, _mirrored(array.of)
        )
        for name, array in fields.arrays.items()
    }
    return Fields(fields.size, numbers, arrays)
