# SPDX-License-Identifier: Apache-2.0
"""Records of a batch by column: of thousands, each check and the store look at one field of all.

A loop over the records takes a lookup in each, every time. ``Rows`` are taken apart into columns once, in C.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

_key, _value = itemgetter(0), itemgetter(1)


class Rows(tuple[Any, ...]):
    """Records of one type, which are taken apart when a column is asked for."""

    @cached_property
    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Each field of all records, by its name; empty where there is no record."""
        if not self:
            return {}
        names = self[0].__struct_fields__
        values = list(chain.from_iterable(map(msgspec.structs.astuple, self)))
        return {name: values[place :: len(names)] for place, name in enumerate(names)}

    @cached_property
    def sums(self) -> dict[tuple[tuple[str, ...], str], Mapping[tuple[Any, ...], int]]:
        """What was summed of them, by the fields and what was summed."""
        return {}


def column(records: Sequence[Any], name: str) -> Sequence[Any]:
    """Return a field of every record."""
    if isinstance(records, Rows):
        return records.columns.get(name, ())
    return list(map(attrgetter(name), records))


def summed(records: Sequence[Any], keys: tuple[str, ...], name: str) -> Mapping[tuple[Any, ...], int]:
    """Return the sums of a field, by the values of others."""
    if not isinstance(records, Rows):
        return _summed(records, keys, name)
    if (keys, name) not in records.sums:
        records.sums[keys, name] = _summed(records, keys, name)
    return records.sums[keys, name]


def _summed(records: Sequence[Any], keys: Iterable[str], name: str) -> Mapping[tuple[Any, ...], int]:
    of_keys = zip(*(column(records, key) for key in keys), strict=True)
    sums: dict[tuple[Any, ...], int] = defaultdict(int)
    # Records with equal keys lie together, nearly always: they are summed in C.
    for key, same in groupby(zip(of_keys, column(records, name), strict=True), _key):
        sums[key] += sum(map(_value, same))
    return sums
