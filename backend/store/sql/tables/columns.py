# SPDX-License-Identifier: Apache-2.0
"""What tables are made of: the naming convention, and columns by what they hold."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Text
from sqlalchemy import text as sql_text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only in a column whose type is exactly INTEGER. A table that is to give each
# number once, whatever is removed, is made with ``sqlite_autoincrement``.
ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

GREATEST: Mapping[str, bool] = {"greatest": True}
"""``info`` of a column of which a row keeps the greatest value, where the others add up (``Writer.add``)."""
BY_BUCKET: Mapping[str, Any] = {"postgresql_partition_by": "RANGE (bucket_s)"}
"""Of a table of counts of VMs. What is counted of hosts is a row of a host: a thousandth of that."""
BY_TIME: Mapping[str, Any] = {"postgresql_partition_by": "RANGE (time_ns)"}


def number(name: str, *, nullable: bool = False, info: Mapping[str, bool] | None = None) -> Column[int]:
    """Return a column of integers."""
    return Column(name, BigInteger, nullable=nullable, info=dict(info or {}))


def text(name: str, *, default: str | None = None) -> Column[str]:
    """Return a column of texts. ``default``, in SQL, is what rows of the release before have."""
    return Column(name, Text, nullable=False, server_default=default and sql_text(default))


def reference(name: str, to: str) -> Column[int]:
    """Return a column that refers to another table's."""
    return Column(name, BigInteger, ForeignKey(to), nullable=False)
