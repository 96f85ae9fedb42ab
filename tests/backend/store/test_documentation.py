# SPDX-License-Identifier: Apache-2.0
"""The page on the tables names all of them."""

import re
from pathlib import Path

import pytest

from backend.store.sql.tables import metadata

_PAGE = Path(__file__).parents[3] / "docs" / "database.md"


@pytest.mark.parametrize("table", metadata.tables)
def test_every_table_and_column_is_described(table: str) -> None:
    names = set(re.findall(r"`(\w+)`", _PAGE.read_text()))

    assert {table, *metadata.tables[table].columns.keys()} <= names
