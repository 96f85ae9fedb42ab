# SPDX-License-Identifier: Apache-2.0
"""The fields of a table of the rules' file, and what is wrong with them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from faultmodel.text import printable

MOST_CHARACTERS = 500
MOST_TEXTS = 100
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong. ``rule`` and ``field`` are empty where there is none, and ``line`` is None."""

    rule: str
    field: str
    line: int | None
    what: str
    """And what to do."""

    @property
    def words(self) -> str:
        """All of it, in a line."""
        where = [
            *(() if self.line is None else (f"line {self.line}",)),
            *filter(None, (self.rule, self.field)),
        ]
        return ": ".join(filter(None, (", ".join(where), self.what)))


class Fields:
    """Reads fields. What is wrong is noted, and the field then taken for one that is not there."""

    def __init__(
        self, table: Mapping[str, Any], label: str, problems: list[Problem], lines: Mapping[str, int]
    ) -> None:
        """Take a table.

        :param label: what it is called where something is wrong
        :param problems: to which that is added
        :param lines: of its fields, and of its head by the empty name, as far as they are known
        """
        self._table = table
        self._label = label
        self._problems = problems
        self._lines = lines
        self.is_right = True

    def add(self, name: str, what: str) -> None:
        """Note that something is wrong with a field."""
        self.is_right = False
        line = self._lines.get(name, self._lines.get(""))
        self._problems.append(Problem(self._label, name, line, what))

    def has(self, name: str) -> bool:
        """Return whether there is such a field."""
        return name in self._table

    def check_names(self, known: Sequence[str]) -> None:
        """Note every field that is none."""
        for name in self._table:
            if name not in known:
                near = get_close_matches(name, known, 1)
                instead = f"write {near[0]}" if near else f"there are {', '.join(known)}"
                self.add(printable(name)[:40], f"there is no such field: {instead}")

    def text(self, name: str, form: re.Pattern[str], how: str) -> str:
        """Return a text of a line.

        :param form: what it must be
        :param how: what to do where it is not
        """
        value = self._table.get(name, "")
        if not isinstance(value, str) or len(value) > MOST_CHARACTERS or printable(value) != value:
            self.add(
                name, f'write a text of a line, of {MOST_CHARACTERS} characters at most, as {name} = "..."'
            )
        elif not form.fullmatch(value):
            self.add(name, how)
        else:
            return value
        return ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a text, or several."""
        value = self._table.get(name, [])
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(
            isinstance(one, str) and one and len(one) <= MOST_CHARACTERS for one in values
        ):
            if self.has(name) and not values:
                self.add(name, "an empty list is of nobody: leave the field out for all")
            if len(values) > MOST_TEXTS:
                self.add(name, f"these are more than {MOST_TEXTS}: a glob, as web-*, says many at once")
            return tuple(values)
        self.add(name, f'write a text, or a list of texts, as {name} = ["...", "..."]')
        return ()

    def switch(self, name: str, *, default: bool) -> bool:
        """Return a yes or no."""
        value = self._table.get(name, default)
        if isinstance(value, bool):
            return value
        self.add(name, "write true or false, without quotation marks")
        return default

    def choice(self, name: str, of: type[_Choice], default: _Choice | None = None) -> _Choice | None:
        """Return one of several values."""
        value = self._table.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in set(of):
            return of(value)
        self.add(name, _one_of(value, list(of)))
        return default

    def raw(self, name: str) -> object:
        """Return a value as it is, None where there is none."""
        return self._table.get(name)


def _one_of(value: object, known: Collection[str]) -> str:
    listed = ", ".join(known)
    if value is None:
        return f"it is missing: write one of {listed}"
    near = get_close_matches(str(value), known, 1)
    instead = f"did you mean {near[0]}? There are {listed}" if near else f"write one of {listed}"
    return f"{printable(repr(value))[:60]} is none of them: {instead}"
