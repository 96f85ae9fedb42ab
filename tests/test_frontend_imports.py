# SPDX-License-Identifier: Apache-2.0
"""The page's own contracts: which folder imports which, who talks to the server, and what nobody may use."""

import re
from pathlib import Path

import pytest

PUBLIC = Path(__file__).parent.parent / "frontend" / "public"
JS = PUBLIC / "js"
MODULES = sorted(JS.rglob("*.js"))
FILES = sorted(path for path in PUBLIC.rglob("*") if path.is_file())

_FOR_PAGES = {
    *("base", "model", "charts", "panels", "panels/chart", "panels/tables", "panels/hosts"),
    *("api.js", "vm-api.js", "http.js", "plotly.js", "state.js"),
}
ALLOWED = {
    "base": {"base"},
    "model": {"base", "model"},
    "charts": {"base", "model", "charts"},
    "panels": {"base", "model", "panels"},
    "panels/chart": {"base", "model", "panels", "panels/chart"},
    "panels/tables": {"base", "model", "panels", "panels/tables"},
    "panels/hosts": {"base", "model", "panels", "panels/hosts"},
    "pages": {*_FOR_PAGES, "pages"},
    "pages/overview": {*_FOR_PAGES, "pages", "pages/overview"},
    "pages/vm": {*_FOR_PAGES, "pages", "pages/vm"},
    "pages/guest": {*_FOR_PAGES, "pages", "pages/guest"},
    "http.js": set[str](),
    "api.js": {"http.js"},
    "vm-api.js": {"api.js", "http.js"},
    "appearance.js": {"base"},
    "keys.js": set[str](),
    "plotly.js": set[str](),
    "state.js": {"base"},
    "live.js": {"http.js"},
    "main.js": {
        *("base", "panels", "pages", "pages/overview", "pages/vm", "pages/guest"),
        *("http.js", "appearance.js", "keys.js", "live.js", "plotly.js", "state.js"),
    },
}
"""From folder, or file at the top, to what it may import. Types in comments are free: nothing runs there."""

_IMPORT = re.compile(r'^\s*(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)"|^\s*import\s+"([^"]+)"', re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)
_FOREIGN = re.compile(r"https?://(?!www\.w3\.org/)[^\s\"'`)]+")


def _name(path: Path) -> str:
    return str(path.relative_to(JS)) if path.is_relative_to(JS) else str(path.relative_to(PUBLIC))


def _room(path: Path) -> str:
    relative = path.relative_to(JS)
    return relative.name if relative.parent == Path() else str(relative.parent)


def _code(path: Path) -> str:
    return _COMMENT.sub("", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_a_module_imports_only_what_its_room_may(module: Path) -> None:
    targets = [first or second for first, second in _IMPORT.findall(_code(module))]
    for target in targets:
        assert target.startswith("."), f"{target} is no file of the page"
        found = (module.parent / target).resolve()
        assert found.is_file(), f"{target} is not there"
        assert _room(found) in ALLOWED[_room(module)], f"{_name(module)} may not import {target}"


def _users_of(pattern: str) -> list[str]:
    return [_name(module) for module in MODULES if re.search(pattern, _code(module))]


def test_only_the_api_module_talks_to_the_server() -> None:
    assert _users_of(r"\bfetch\(|\bEventSource\(|XMLHttpRequest|WebSocket|sendBeacon") == ["http.js"]


def test_only_one_module_reads_the_plotting_library() -> None:
    assert _users_of(r"\bPlotly\b") == ["plotly.js"]


def test_nothing_is_made_from_markup_or_text_that_runs() -> None:
    wrong = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    assert _users_of(wrong) == []


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_nothing_of_the_page_names_another_host(path: Path) -> None:
    assert _FOREIGN.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_a_module_is_of_a_size_to_be_read(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 250


def test_the_page_has_no_script_of_its_own_inside() -> None:
    html = (PUBLIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\son\w+=", html)
