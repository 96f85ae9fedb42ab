# SPDX-License-Identifier: Apache-2.0
"""The columns of a file: the fields of what a list has, taken from its description.

What is within an object is a column of its own, ``syndrome.word``. Texts in a list stand in one cell, with
spaces between them: they are names. Whatever else has parts is JSON. Former names of fields are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

Item = Mapping[str, Any]


class Kind(StrEnum):
    """What a column has in each of its cells, unless it is empty."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"
    TEXTS = "texts"
    PARTS = "parts"


_KINDS = {"integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN, "string": Kind.TEXT}


@dataclass(frozen=True, slots=True)
class Column:
    """``path``: the names of the fields from an item to what is in the cell."""

    path: tuple[str, ...]
    kind: Kind

    @property
    def name(self) -> str:
        """The name in the file."""
        return ".".join(self.path)

    def cell(self, item: Item) -> Any:  # noqa: ANN401 - JSON's
        """Return what an item has there, as JSON has it; None where it has nothing."""
        found: Any = item
        for name in self.path:
            if found is None:
                return None
            found = found.get(name)
        return found

    def text(self, item: Item) -> str:
        """Return the same as a text, empty where there is nothing."""
        found = self.cell(item)
        if found is None:
            return ""
        if self.kind is Kind.TEXTS:
            return " ".join(found)
        if self.kind in (Kind.PARTS, Kind.BOOLEAN):
            return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return str(found)


def columns_of(model: type[BaseModel]) -> Sequence[Column]:
    """Return the columns of items of a model, in the order of its fields."""
    schema = model.model_json_schema(mode="serialization")
    return list(_columns((), schema, schema.get("$defs", {})))


def _columns(path: tuple[str, ...], schema: Item, definitions: Item) -> Iterator[Column]:
    for name, described in schema["properties"].items():
        if described.get("deprecated"):
            continue
        found = _one(described, definitions)
        if "properties" in found:
            yield from _columns((*path, name), found, definitions)
        else:
            yield Column((*path, name), _kind(found, definitions))


def _one(described: Item, definitions: Item) -> Item:
    """Return what is described, null aside."""
    for one in described.get("anyOf", ()):
        if one.get("type") != "null":
            return _one(one, definitions)
    if "$ref" in described:
        return _one(definitions[described["$ref"].rpartition("/")[2]], definitions)
    return described


def _kind(described: Item, definitions: Item) -> Kind:
    if described.get("type") == "array":
        of = _one(described.get("items", {}), definitions)
        return Kind.TEXTS if _kind(of, definitions) is Kind.TEXT else Kind.PARTS
    if described.get("format") == "date-time":
        return Kind.TIME
    return _KINDS.get(str(described.get("type")), Kind.PARTS)
