# SPDX-License-Identifier: Apache-2.0
"""The glossary's terms are those of the code, and words that mean something to nobody else stay out."""

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PRODUCT = ("collector", "faultmodel", "backend", "frontend", "docs")
ROOMS = (*PRODUCT, "migrations", "bench", "demo", "script", "tests")
GLOSSARY = TOP / "docs" / "glossary.md"
DIALECT = (
    r"untold(?!_error)",
    "last.words",
    "retold",
    r"visitors?\b",
    r"greeters?\b",
    r"\bhomes\b",
    "own_turn",
    r"\bturn_fd",
    r"(?:keep|last|homes|vcpus|slots|counts|lost)_cut\b",
    "take_round",
    r"second.looks",
    "overlooked",
    "spilled",
    r"\btold\b",
    r"_told\b",
    r"\btold_(?!to_ns\b)",
    r"\btells? of\b",
)
"""Patterns. What each of them was called is in ``docs/glossary.md`` under its name."""
FORMER = (
    "collector/probe/renamed.py",
    "backend/api/former_names.py",
    "collector/probe/earlier/",
    "tests/test_words.py",
)
"""Files that know the names of earlier versions."""


def _text_files() -> dict[str, str]:
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *ROOMS],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for name in names.stdout.splitlines():
        if name.startswith(FORMER) or not (TOP / name).is_file():
            continue
        try:
            found[name] = (TOP / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


FILES = _text_files()


def _named_in_code() -> list[str]:
    rows = re.findall(r"^\| .* \| .* \| (.*) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return sorted({name for row in rows for name in re.findall(r"`([\w./-]+)`", row)})


def test_the_glossary_names_code() -> None:
    assert len(_named_in_code()) > 50


@pytest.mark.parametrize("name", _named_in_code())
def test_what_the_glossary_names_is_in_the_code(name: str) -> None:
    is_there = (TOP / name).exists() or any(other.endswith(f"/{name}") for other in FILES)
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    code = (text for path, text in FILES.items() if path.startswith(PRODUCT) and not path.startswith("docs/"))
    assert is_there or any(word.search(text) for text in code)


@pytest.mark.parametrize("pattern", DIALECT)
def test_no_word_is_used_that_the_field_does_not_know(pattern: str) -> None:
    banned = re.compile(pattern, re.IGNORECASE)
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in FILES.items()
        for number, line in enumerate(text.splitlines(), 1)
        if banned.search(line)
    ]
    assert found == []
