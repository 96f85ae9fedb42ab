# SPDX-License-Identifier: Apache-2.0
"""Every section of a batch is stored: without its rows, the database has something else."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from backend.store import open_store
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import metadata
from faultmodel import wire
from faultmodel.sections import OF_VMS, SECTIONS
from faultmodel.wire import Batch
from tests.backend.store.conftest import NewUrl
from tests.batches import later_sections

STORED = Path(__file__).parents[2] / "faultmodel" / "wire_v4" / "x86_64.msgpack"
RECEIVED_NS = 1_900_000_000 * 10**9


def _without(batch: Batch, *names: str) -> Batch:
    rows: dict[str, Any] = dict.fromkeys(names, ())
    return replace(batch, **rows)


# Answers are those to a request that is stored: tests/backend/store/test_record_requests.py.
@pytest.mark.parametrize("name", [section.name for section in SECTIONS if section.name != "record_answers"])
def test_a_section_that_is_left_out_is_missing(new_url: NewUrl, name: str) -> None:
    whole = wire.decode(STORED.read_bytes())
    later: dict[str, Any] = {section: tuple(rows) for section, rows in later_sections().items()}
    whole = replace(whole, **later)
    assert all(section.rows(whole) for section in SECTIONS)
    if name == "vms":
        # Nothing is stored that names a VM which is not described.
        whole = _without(whole, *(section.name for section in OF_VMS))
    assert _content_of(new_url(), whole) != _content_of(new_url(), _without(whole, name))


def _content_of(url: str, batch: Batch) -> list[list[str]]:
    with closing(open_store(url)) as store:
        assert isinstance(store, SqlStore)
        assert store.apply(batch, RECEIVED_NS)
        with store.reading() as connection:
            return [sorted(map(repr, connection.execute(select(table)))) for table in metadata.sorted_tables]
