# SPDX-License-Identifier: Apache-2.0
"""Reads the file of the rules, and says everything that is wrong with it: where, why, and what to do."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from backend.errors import SettingError
from backend.query.alerts.rule_table import NAME, read_rule
from backend.query.alerts.rules import Rule
from backend.query.alerts.table import Fields, Problem

PAGES = "docs/runbooks"
"""Of the project: there is a page for each default rule."""
MOST_RULES = 200
"""Each is judged of every VM."""
_MOST_BYTES = 1_000_000
_TOP = ("defaults", "runbooks", "rule")
_AT_LINE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_HEADER = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_FIELD = re.compile(r"\s*([A-Za-z_]+)\s*=")
_URL = re.compile(r"https?://[^\s/]\S*")
_BASE = re.compile(rf"({_URL.pattern})?")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file comes to. Where there are problems, the rules are those that have none."""

    rules: Sequence[Rule]
    problems: Sequence[Problem]


class RulesFile:
    """The rules of a file, read again when it has changed: of the default ones alone where there is none."""

    def __init__(self, path: Path | None) -> None:
        """Read it. :raises SettingError: it cannot be read, or something in it is wrong"""
        self._path = path
        self._seen = self._shape()
        self._problem = ""
        self._rules = read_rules(path)

    def current(self) -> tuple[Sequence[Rule], str]:
        """Return the rules, and what is wrong with the file since they were read; empty where nothing is."""
        if (shape := self._shape()) != self._seen:
            try:
                self._rules, self._problem = read_rules(self._path), ""
            except SettingError as exc:
                self._problem = str(exc)
            self._seen = shape
        return self._rules, self._problem

    def _shape(self) -> tuple[int, ...]:
        """Return what is another one once the file has changed."""
        if self._path is None:
            return ()
        try:
            found = self._path.stat()
        except OSError as exc:
            return (exc.errno or 0,)
        return found.st_ino, found.st_size, found.st_mtime_ns


def read_rules(path: Path | None) -> Sequence[Rule]:
    """Return the rules of a file and the default ones, the latter alone where there is no file.

    :raises SettingError: the file cannot be read, or something in it is wrong
    """
    if path is None:
        return check_rules("").rules
    checked = check_rules(read_text(path))
    if checked.problems:
        more = len(checked.problems) - 1
        others = f", and {more} more" if more else ""
        raise SettingError(
            f"{path}: {checked.problems[0].words}{others}; kvmfaults-server alerts check {path} shows all"
        )
    return checked.rules


def read_text(path: Path) -> str:
    """Return the text of a file of rules. :raises SettingError: it cannot be read, or is none"""
    try:
        with path.open("rb") as file:
            found = file.read(_MOST_BYTES + 1)
        text = found.decode()
    except OSError as exc:
        raise SettingError(f"the rules in {path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingError(f"the rules in {path} are no UTF-8 text: byte {exc.start} is none of it") from exc
    if len(found) > _MOST_BYTES:
        raise SettingError(f"the rules in {path} are of more than {_MOST_BYTES:,} bytes")
    return text


@cache
def default_rules() -> Sequence[Rule]:
    """Return the rules that ship with the server."""
    text = (files("backend.query.alerts") / "defaults.toml").read_text()
    problems: list[Problem] = []
    found = [
        read_rule(Fields(table, str(table["name"]), problems, {}), is_default=True)
        for table in tomllib.loads(text)["rule"]
    ]
    assert not problems, problems
    return [rule for rule in found if rule is not None]


def check_rules(text: str) -> Checked:
    """Check the text of a file of rules, and return its rules, with the default ones that it leaves on."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        return Checked([], [_no_toml(str(exc))])
    problems: list[Problem] = []
    top = Fields(document, "", problems, {})
    top.check_names(_TOP)
    with_defaults = top.switch("defaults", default=True)
    base = top.text("runbooks", _BASE, "write the http or https address of the folder of the pages")
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        top.add("rule", "rules are tables of a list: begin each with [[rule]]")
        tables = []
    if len(tables) > MOST_RULES:
        top.add("rule", f"there are {len(tables)} rules, more than {MOST_RULES}: join those that are alike")
        tables = tables[:MOST_RULES]
    own = _own_rules(tables, _lines_of(text, len(tables)), problems)
    replaced = {table.get("name") for table in tables}
    kept = [rule for rule in default_rules() if with_defaults and rule.name not in replaced]
    return Checked([_with_page(rule, base) for rule in (*kept, *own)], problems)


def _own_rules(
    tables: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, int]], problems: list[Problem]
) -> Sequence[Rule]:
    """Return the rules of a file that are switched on and right."""
    found = []
    names = [table.get("name") for table in tables]
    known = {rule.name for rule in default_rules()}
    for place, (table, name) in enumerate(zip(tables, names, strict=True)):
        has_name = isinstance(name, str) and NAME.fullmatch(name)
        label = f'rule "{name}"' if has_name else f"rule {place + 1}"
        fields = Fields(table, label, problems, lines[place] if lines else {})
        if name is not None and name in names[:place]:
            fields.add("name", "another rule has this name: give each one of its own")
        if fields.switch("enabled", default=True):
            found.append(read_rule(fields, is_default=False))
        elif name not in known:
            listed = ", ".join(sorted(known))
            fields.add("enabled", f"no default rule has this name, which could be switched off: {listed}")
    return [rule for rule in found if rule is not None]


def _with_page(rule: Rule, base: str) -> Rule:
    """Have a rule name its page with its folder: that of the project, or the one that the file names."""
    if _URL.fullmatch(rule.runbook):
        return rule
    page = f"{base.rstrip('/')}/{rule.runbook}" if base else f"{PAGES}/{rule.runbook}.md"
    return replace(rule, runbook=page)


def _lines_of(text: str, tables: int) -> Sequence[Mapping[str, int]]:
    """Return the lines on which each rule and its fields begin; none where a text hides them."""
    found: list[dict[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            found.append({"": number})
        elif found and (field := _FIELD.match(line)):
            found[-1].setdefault(field[1], number)
    return found if len(found) == tables else []


def _no_toml(text: str) -> Problem:
    found = _AT_LINE.fullmatch(text)
    what, line = (found[1], found[2]) if found else (text, None)
    return Problem("", "", None if line is None else int(line), f"this is no TOML: {what}")
