# SPDX-License-Identifier: Apache-2.0
"""A command line for people: passwords, tokens and keys in it left out, everything else left in."""

import re
from collections.abc import Iterable, Iterator, Sequence

from collector.vms.identity.secret_ends import Word, words
from collector.vms.identity.secret_logins import LAUNCHERS, LOGIN_OPTIONS, without_login
from collector.vms.identity.secret_names import may_show_after, takes_proof, takes_secret
from collector.vms.identity.secret_texts import End, secret_is_to_come, without_secrets
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


def _shown(command: Iterable[str], end: End = End.LIST, depth: int = 0) -> Iterator[str]:
    """Give each argument as it is shown."""
    before = ""
    logins = LOGIN_OPTIONS
    program = ""
    for argument in command:
        name = argument.rpartition("/")[2]
        if name in LAUNCHERS and not program:
            logins = frozenset()
        if name in _SHELLS or name == "sshpass" or not program:
            program = name
        if takes_secret(before) and not (takes_proof(before) and argument.startswith("--")):
            # Also where it looks like an option: a secret may begin with a hyphen.
            yield _option_value(before, argument)
        elif program == "sshpass" and before == "-p":
            yield HIDDEN
        elif program in _SHELLS and _SHELL_COMMAND.fullmatch(before):
            yield _command(argument, End.LIST, depth)
        else:
            yield _argument(argument, before, logins, end, depth)
        before = argument


def _argument(argument: str, option: str, logins: frozenset[str], end: End, depth: int) -> str:
    if found := _ASSIGNED_OPTION.match(argument):
        name, rest = argument[: found.end() - 1], argument[found.end() :]
        if takes_secret(name):
            return f"{name}={_option_value(name, rest)}"
        return f"{name}={_text(rest, name, logins, end, depth)}"
    if argument[:2] in logins and option not in logins:
        argument = argument[:2] + without_login(argument[:2], argument[2:])
    return _text(argument, option, logins, end, depth)


def _text(text: str, option: str, logins: frozenset[str], end: End, depth: int) -> str:
    if option in logins:
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
