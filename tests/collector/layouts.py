# SPDX-License-Identifier: Apache-2.0
"""How maps may be laid out: as a compiler did, and with everything somewhere else."""

from collections.abc import Mapping
from pathlib import Path
from struct import calcsize

import msgspec

from collector.probe import compiled
from collector.probe.compiled import Array, Field, Layout, Structure

EARLIER = Path(compiled.__file__).parent / "earlier"
COMPILED = compiled.decode((EARLIER / "1a6e9eab6f0b8406fb99c1e10f4fbb20.json").read_bytes())


def mirrored(layout: Layout) -> Layout:
    """The same types with their fields in the opposite order."""
    return msgspec.structs.replace(
        layout, types={name: _mirrored(structure) for name, structure in layout.types.items()}
    )


def _mirrored(structure: Structure) -> Structure:
    fields: Mapping[str, Field] = {
        name: Field(structure.size - field.offset - calcsize(f"={field.format}"), field.format)
        for name, field in structure.fields.items()
    }
    arrays: Mapping[str, Array] = {
        name: Array(
            structure.size - array.offset - array.count * array.of.size, array.count, _mirrored(array.of)
        )
        for name, array in structure.arrays.items()
    }
    return Structure(structure.size, fields, arrays)
