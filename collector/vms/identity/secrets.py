# SPDX-License-Identifier: Apache-2.0
"""A command line for people: passwords, tokens and keys in it left out, everything else left in."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from collector.vms.identity.secret_ends import Word, words
from collector.vms.identity.secret_logins import GLUED, LAUNCHERS, takes_login, without_login
from collector.vms.identity.secret_names import may_show_after, takes_proof, takes_secret
from collector.vms.identity.secret_programs import (
    PROGRAMS,
    glued_login,
    glued_secret,
    takes_login_of,
    takes_secret_of,
)
from collector.vms.identity.secret_texts import (
    End,
    is_scheme,
    names_secret,
    secret_is_to_come,
    without_secrets,
)
from collector.vms.identity.secret_urls import HIDDEN
from faultmodel.text import cut

COMMAND_LENGTH = 1024
"""Bound of the wire's text, in characters."""
_LOOKED_AT = 8 * COMMAND_LENGTH
"""Of one argument. More than is shown: where a password ends may show only in what follows it."""
_DEPTH = 4
"""Of commands in one another. What is deeper is hidden as a whole."""
_KERNEL_OPTIONS = frozenset(
    (
        *("-append", "--append", "--cmdline", "--kernel-cmdline", "--kernel-params", "--params", "-p"),
        "--boot-args",
    )
)
"""What follows these is words parted by blanks."""
_ENVIRONMENT_OPTIONS = frozenset(("-e", "--env", "--environment", "--setenv"))
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh"))
_SHELL_COMMAND = re.compile(r"-[a-z]*c")
_ASSIGNED_OPTION = re.compile(r"-{1,2}[\w.-]+=")


def command_text(command: Sequence[str]) -> str:
    """Return a command line on one line and bounded, with an ellipsis in the place of each secret."""
    shown = ""
    for argument in _shown(argument[:_LOOKED_AT] for argument in command):
        shown += f" {argument}"
        if len(shown) > COMMAND_LENGTH + 1:
            break
    return cut(shown.removeprefix(" ").replace(HIDDEN, "…"), COMMAND_LENGTH)


@dataclass(slots=True)
class _Program:
    """What runs, as far as a command line shows it, and whether a user of its options may have a password."""

    name: str = ""
    has_logins: bool = True

    def see(self, argument: str) -> None:
        """Look at the next argument, which may be the program that the last one runs."""
        name = argument.rpartition("/")[2]
        if name in LAUNCHERS and not self.name:
            self.has_logins = False
        if name in _SHELLS or name in PROGRAMS or not self.name:
            self.name = name

    def takes_login(self, option: str) -> bool:
        """Return whether what follows this option is a user and perhaps a password."""
        return self.has_logins and (takes_login(option) or takes_login_of(self.name, option))


def _shown(command: Iterable[str], end: End = End.LIST, depth: int = 0) -> Iterator[str]:
    """Give each argument as it is shown."""
    before = ""
    program = _Program()
    is_header = False
    for argument in command:
        program.see(argument)
        is_header = names_secret(before) or (is_header and is_scheme(before))
        if takes_secret(before) and not (takes_proof(before) and argument.startswith("--")):
            # Also where it looks like an option: a secret may begin with a hyphen.
            yield _option_value(before, argument)
        elif is_header and not argument.startswith("-"):
            yield argument if is_scheme(argument) else HIDDEN
        elif takes_secret_of(program.name, before):
            yield HIDDEN
        elif program.name in _SHELLS and _SHELL_COMMAND.fullmatch(before):
            yield _command(argument, End.LIST, depth)
        else:
            yield _argument(argument, before, program, end, depth)
        before = argument


def _argument(argument: str, option: str, program: _Program, end: End, depth: int) -> str:
    if (hidden := glued_secret(program.name, argument)) is not None:
        return hidden
    if found := _ASSIGNED_OPTION.match(argument):
        name, rest = argument[: found.end() - 1], argument[found.end() :]
        if takes_secret(name):
            return f"{name}={_option_value(name, rest)}"
        return f"{name}={_text(rest, name, program, end, depth)}"
    if program.has_logins and not program.takes_login(option):
        argument = _without_glued_login(argument, program.name)
    return _text(argument, option, program, end, depth)


def _without_glued_login(argument: str, program: str) -> str:
    glued, value = glued_login(program, argument)
    if not glued and argument[:2] in GLUED:
        glued, value = argument[:2], argument[2:]
    return glued + without_login(glued, value) if glued else argument


def _text(text: str, option: str, program: _Program, end: End, depth: int) -> str:
    if program.takes_login(option):
        text = without_login(option, text)
    if option in _KERNEL_OPTIONS:
        return _command(text, End.TEXT, depth)
    if text.startswith("exec:"):
        # QEMU's -incoming: what a shell is to run.
        return "exec:" + _command(text.removeprefix("exec:"), End.LIST, depth)
    return without_secrets(text, option, End.TEXT if option in _ENVIRONMENT_OPTIONS else end)


def _option_value(option: str, value: str) -> str:
    return value if may_show_after(option, value) else HIDDEN


def _command(text: str, end: End, depth: int) -> str:
    """Return a command line inside an argument as it is shown, its secrets hidden word by word."""
    if depth == _DEPTH:
        return HIDDEN
    shown = ""
    found: list[Word] = list(words(text))
    for word, said in zip(found, _shown((word.text for word in found), end, depth + 1), strict=True):
        is_hidden = said != word.text
        shown += word.blanks + (_quoted(said, word.written) if is_hidden else word.written)
        if word.text.endswith(":") and secret_is_to_come(word.text) and word is not found[-1]:
            # Its value is in the words that follow, and who knows in how many of them.
            return f"{shown} {HIDDEN}"
    return shown


def _quoted(said: str, written: str) -> str:
    quote = written[0]
    is_whole = quote in "\"'" and written[-1] == quote and len(written) > 1
    return f"{quote}{said}{quote}" if is_whole else said
