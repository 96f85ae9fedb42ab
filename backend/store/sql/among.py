# SPDX-License-Identifier: Apache-2.0
"""Whether a column's value is among those of a list, which comes with each execution of a statement.

For PostgreSQL the list is one array. As one parameter for each value, the statement is another one for each
length: psycopg takes it apart in Python every time, and it is never prepared. With 500 values that takes
longer than all else. SQLite has no arrays, and takes as many parameters in no time.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Dialect, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class _Listed(TypeDecorator[Sequence[Any]]):
    """An array of any sequence."""

    impl = ARRAY
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> list[Any] | None:
        """Return it as a list, which alone psycopg takes for an array."""
        return None if value is None else list(value)


class _Among(FunctionElement[bool]):
    # Of no type in SQL: SQLite would compare a Boolean to 1, and use no index.
    inherit_cache = True


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the condition for a column. ``name`` is the list's, at most ``MOST_AT_ONCE`` values long."""
    return _Among(column, bindparam(name, type_=column.type))


@compiles(_Among)
def _one_by_one(element: _Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    column, values = element.clauses
    expanding = column.in_(bindparam(values.key, expanding=True))
    return compiler.process(expanding, **options)


@compiles(_Among, "postgresql")
def _as_array(element: _Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    column, values = element.clauses
    listed = bindparam(values.key, type_=_Listed(column.type))
    return f"{compiler.process(column, **options)} = ANY ({compiler.process(listed, **options)})"
