# SPDX-License-Identifier: Apache-2.0
"""Writes the types of the API's bodies for the page's type checker, from the API's own description.

``python script/page_types.py > frontend/api-types.d.ts``, after a body of ``backend/api/schemas`` changed.
"""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from backend.app import describe_api

_WIDTH = 110
_HEAD = """\
// What the HTTP API answers with, for the type checker alone: never served.
// Made by script/page_types.py from the API's description; a test compares.
// Words, addresses and exact times are strings: a JavaScript number loses integers above 2^53.
"""
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_Schema = Mapping[str, Any]


def main() -> None:
    """Print the types."""
    print(written(describe_api()), end="")


def written(description: _Schema) -> str:
    """Return the TypeScript declarations of an OpenAPI 3.1 document's schemas, by name."""
    schemas = sorted(description["components"]["schemas"].items())
    return _HEAD + "".join(f"\n{line}\n" for line in map(_declaration, schemas))


def _declaration(named: tuple[str, _Schema]) -> str:
    name, schema = named
    head = _comment(schema, "")
    if "properties" not in schema:
        return "\n".join([*head, f"export type {name} = {_type(schema)};"])
    return "\n".join([*head, f"export interface {name} {{", *_members(schema), "}"])


def _members(schema: _Schema) -> Iterator[str]:
    required = schema.get("required", ())
    for name, member in schema["properties"].items():
        yield from _comment(member, "  ")
        yield f"  {name}{'' if name in required else '?'}: {_type(member)};"


def _comment(schema: _Schema, indent: str) -> list[str]:
    text = " ".join(schema.get("description", "").split())
    lines = textwrap.wrap(text, _WIDTH - len(indent) - len("/**  */"), break_on_hyphens=False)
    if len(lines) <= 1:
        return [f"{indent}/** {line} */" for line in lines]
    return [f"{indent}/**", *(f"{indent} * {line}" for line in lines), f"{indent} */"]


def _type(schema: _Schema) -> str:
    """Return the type of a value; a keyword that is not known here is an error, not ``any``."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    match schema["type"]:
        case "array":
            item = _type(schema["items"])
            return f"({item})[]" if " " in item else f"{item}[]"
        case "object":
            return f"Record<string, {_type(schema['additionalProperties'])}>"
        case plain:
            return _PLAIN[plain]


if __name__ == "__main__":
    main()
