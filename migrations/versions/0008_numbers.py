# SPDX-License-Identifier: Apache-2.0
"""Numbers that are given once: what is removed leaves its number to nobody, as on PostgreSQL.

SQLite otherwise gives the greatest number again once its row is gone, and who remembers it, such as a server
that runs while another process removes a host, takes the next one for the one that was removed.
"""

import re
from collections.abc import Callable

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("hosts", "sources", "streams", "host_events", "vms")
_COLUMN = "id INTEGER NOT NULL"
_NUMBERED = f"{_COLUMN} PRIMARY KEY AUTOINCREMENT"


def upgrade() -> None:
    """Have SQLite remember the greatest number that each table ever gave."""
    for table in _TABLES:
        _make_anew(table, _with_memory)


def downgrade() -> None:
    """Have it forget; what is stored keeps its numbers."""
    for table in _TABLES:
        _make_anew(table, _without_memory)


def _with_memory(statement: str) -> str:
    without_key = re.sub(r"CONSTRAINT pk_\w+ PRIMARY KEY \(id\),\s*", "", statement)
    return without_key.replace(_COLUMN, _NUMBERED, 1)


def _without_memory(statement: str) -> str:
    table = statement.split()[2]
    key = f"CONSTRAINT pk_{table} PRIMARY KEY (id), "
    return statement.replace(_NUMBERED, _COLUMN, 1).replace("CONSTRAINT ", f"{key}CONSTRAINT ", 1)


def _make_anew(table: str, change: Callable[[str], str]) -> None:
    """Make a table anew, in words that are changed. What refers to it goes on doing so."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        return
    statements = connection.exec_driver_sql(
        "SELECT type, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,)
    ).all()
    (made,) = (row.sql for row in statements if row.type == "table")
    # Not renamed: SQLite would have the tables that refer to it refer to the old one then.
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {table}")
    connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(change(made))
    connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM kept")
    connection.exec_driver_sql("DROP TABLE kept")
    for row in statements:
        if row.type == "index":
            connection.exec_driver_sql(row.sql)
