# SPDX-License-Identifier: Apache-2.0
"""The page's types are those of the API's bodies as they are now."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
WRITTEN = TOP / "frontend" / "api-types.d.ts"


def test_the_types_are_those_of_the_api() -> None:
    made = subprocess.run(
        [sys.executable, "script/page_types.py"], cwd=TOP, capture_output=True, text=True, check=True
    ).stdout
    assert made == WRITTEN.read_text(encoding="utf-8"), (
        "run: python script/page_types.py > frontend/api-types.d.ts"
    )


@pytest.mark.parametrize("name", ["types.js", "host-types.js"])
def test_the_page_repeats_no_body(name: str) -> None:
    text = (TOP / "frontend" / "public" / "js" / "model" / name).read_text(encoding="utf-8")
    assert "@property" not in text
