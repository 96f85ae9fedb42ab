# SPDX-License-Identifier: Apache-2.0
"""Sums as integers, and such as do not fail whatever was stored: those of one host are asked for with
all others'."""

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Dialect, cast, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

MOST = 2**62
"""What a row's column stays at, however much is added to it. No host comes near."""


def sum_of(value: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum of a column, as an integer."""
    # PostgreSQL sums BIGINT to NUMERIC, which the driver hands on as Decimal.
    return cast(func.sum(value), BigInteger)


class _Total(TypeDecorator[int]):
    """An integer, however the database writes it."""

    impl = BigInteger
    cache_ok = True

    def process_result_value(self, value: int | float | Decimal | None, dialect: Dialect) -> int | None:
        """Return the integer."""
        return None if value is None else int(value)


class safe_sum_of(FunctionElement[int]):  # noqa: N801 - it is a function in SQL
    """The sum of a column of integers. What is beyond 2**63 is known roughly: it is made up anyway.

    With SQLite it takes half as long again as ``sum``, which fails there.
    """

    type = _Total()
    inherit_cache = True


@compiles(safe_sum_of)
def _sum(element: safe_sum_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    # PostgreSQL's sum of BIGINT is NUMERIC, which has no bound.
    return f"sum({compiler.process(element.clauses, **options)})"


@compiles(safe_sum_of, "sqlite")
def _sum_of_halves(element: safe_sum_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    value = compiler.process(element.clauses, **options)
    # Exact below 2**63; beyond it SQLite's product is a floating-point number.
    return f"(sum({value} >> 32) * 4294967296 + sum({value} & 4294967295))"


class capped_sum_of(safe_sum_of):  # noqa: N801 - it is a function in SQL
    """The same, of at most ``MOST``: what a row's column stays at."""

    inherit_cache = True


class quick_capped_sum_of(capped_sum_of):  # noqa: N801 - it is a function in SQL
    """The same in two thirds of the time with SQLite, which fails where the sum is beyond 2**63."""

    inherit_cache = True


@compiles(capped_sum_of)
def _capped(element: capped_sum_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"least({_sum(element, compiler, **options)}, {MOST})"


@compiles(capped_sum_of, "sqlite")
def _capped_halves(element: capped_sum_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"min({_sum_of_halves(element, compiler, **options)}, {MOST})"


@compiles(quick_capped_sum_of, "sqlite")
def _quick(element: quick_capped_sum_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"min(sum({compiler.process(element.clauses, **options)}), {MOST})"


def is_beyond(exc: DBAPIError) -> bool:
    """Return whether a statement failed as a sum of it was beyond 2**63."""
    return "integer overflow" in str(exc.orig)
