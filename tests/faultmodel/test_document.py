# SPDX-License-Identifier: Apache-2.0
"""The generated page."""

from pathlib import Path

from faultmodel.arch.base import SyndromeFormat
from faultmodel.document import page
from tests.faultmodel.formats import each_format

PAGE = Path(__file__).parents[2] / "docs" / "syndromes.md"


def test_the_committed_page_is_what_the_tables_give() -> None:
    assert PAGE.read_text() == page(), "run: python -m faultmodel.document > docs/syndromes.md"


@each_format
def test_every_field_is_on_the_page(syndrome: SyndromeFormat) -> None:
    text = page()
    assert all(f"| `{item.name}` |" in text for fields in syndrome.fields.values() for item in fields)
