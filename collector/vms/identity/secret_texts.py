# SPDX-License-Identifier: Apache-2.0
"""Secrets by their names in one text: ``name=value`` in lists, headers, options, and JSON and its strings."""

import enum
import json
import re

from collector.vms.identity.secret_ends import json_string, json_token, json_value_end, list_value_end
from collector.vms.identity.secret_logins import is_user, takes_login, without_listed_login, without_login
from collector.vms.identity.secret_names import (
    is_key_or_cookie,
    is_secret,
    may_show,
    may_show_after,
    takes_secret,
)
from collector.vms.identity.secret_urls import HIDDEN, without_passwords

_DEPTH = 6
"""Of JSON in strings of JSON. What is deeper is hidden as a whole."""
_LONGEST_NAME = 200
_ITEM = re.compile(
    r"""(?<![^\s"'])(?P<option>-{1,2}[\w.-]++)\s++(?=[^\s\0])"""
    r"""|(?<![\w.-])(?P<name>[\w.-]++)(?:(?P<json>\\*["']\s*+:)|["']?[ \t]*+=|(?P<colon>:))"""
)
"""``--name value``, ``name=`` and ``name:``, and ``"name":`` of JSON that is inside other quotes."""
_JSON = re.compile(r"""[{\[](?=\s*+["'{\[])|(?=(?:"[^"'\\]++"|'[^"'\\]++')\s*+:)""")
"""Where JSON begins: at a bracket with something in it, or a name in quotes."""
_COLON = re.compile(r"\s*+:\s*+")
_SECRET_TO_COME = re.compile(r"""([\w.-]+)["']?[:=]\s*\Z""")
_NAME_AND_COLON = re.compile(r"([\w.-]{1,200}):")
_SCHEMES = ("basic", "bearer", "digest", "negotiate", "token")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_WORD = re.compile(r"\S*")
_SHOWN_SCHEME = re.compile(r"\s*(?:Bearer|Basic) \0\s*\Z", re.I)
_SECRET_OBJECT = re.compile(r"""\Asecret,|["']qom-type["']\s*+:\s*+["']secret["']|qom-type=secret\b""")
_OBJECT_DATA = re.compile(r"\A(object\.[\w-]+\.data)=")
_SESSION = re.compile(r"\A((?i:[\w.-]*sess(?:ion)?[_-]?(?:id)?|sid))=")
"""Of curl's -b; other programs have other things there."""
_CEPH_PAIRS = "=keyvalue-pairs"
"""Source: QEMU, block/rbd.c: names and values of Ceph's options, as JSON in a string."""


class End(enum.Enum):
    """Where a value ends whose name says nothing of it: with its item of a list, or with the text."""

    LIST = enum.auto()
    TEXT = enum.auto()


def names_secret(argument: str) -> bool:
    """Return whether an argument is a secret's name and a colon: its value is the next."""
    found = _NAME_AND_COLON.fullmatch(argument)
    return found is not None and is_secret(found[1]) and not is_key_or_cookie(found[1])


def is_scheme(argument: str) -> bool:
    """Return whether this stands before a proof of identity in a header of HTTP."""
    return argument.lower() in _SCHEMES


def secret_is_to_come(text: str) -> bool:
    """Return whether a text ends with a secret's name and a colon or an equals sign."""
    found = _SECRET_TO_COME.search(text[-_LONGEST_NAME:])
    return found is not None and is_secret(found[1])


def without_secrets(text: str, option: str, end: End, depth: int = 0) -> str:
    """Return a text, the value of this option, with a mark in the place of each secret."""
    if depth > _DEPTH:
        return HIDDEN
    also = _secret_here(text, option)
    shown = ""
    at = 0
    while (found := _JSON.search(text, at)) and not _is_in_address(text[at : found.start()]):
        said, is_open = _plain(text[at : found.start()], also, end)
        shown += said
        if is_open:
            # A secret that has what looks like JSON in it.
            return shown
        if secret_is_to_come(text[at : found.start()]):
            return shown + HIDDEN
        said, at = _json(text, found.start(), also, depth)
        shown += said
    return shown + _plain(text[at:], also, end)[0]


def _is_in_address(before: str) -> bool:
    """Return whether what looks like JSON, behind this text, belongs to a URL or a name of Ceph."""
    begin = max(before.rfind("://"), before.rfind("iscsi:"))
    is_in_url = begin >= 0 and not any(mark in before[begin:] for mark in " \t\n")
    return is_in_url or "rbd:" in before


def _secret_here(text: str, option: str) -> frozenset[str]:
    """Names that are secret in this text only."""
    if _SECRET_OBJECT.search(text):
        return frozenset(("data",))
    if option in ("-fw_cfg", "--fw_cfg"):
        # A text handed to the guest's firmware: its name does not show what it is.
        return frozenset(("string",))
    found = _OBJECT_DATA.match(text) if option in ("-set", "--set") else None
    found = _SESSION.match(text) if option == "-b" else found
    return frozenset((found[1],)) if found else frozenset()


def _plain(text: str, also: frozenset[str], end: End) -> tuple[str, bool]:
    """Return a text without JSON as it is shown, and whether a secret goes on where it ends."""
    text = without_passwords(text)
    shown = ""
    at = looked_at = 0
    while found := _ITEM.search(text, looked_at):
        looked_at = begin = found.end()
        if found["option"]:
            said = _value_of_option(found["option"], _WORD.match(text, begin))
            if said is not None:
                return shown + text[at:begin] + said, True
            continue
        hidden = _named_value(text, found, also, end)
        if hidden is None:
            continue
        said, ended = hidden
        shown += text[at:begin] + said
        at = looked_at = ended
        if at == len(text):
            return shown, True
    return shown + text[at:], False


def _named_value(text: str, found: re.Match[str], also: frozenset[str], end: End) -> tuple[str, int] | None:
    """Return what is shown of a value behind its name, and where it ends; None where it is no secret."""
    name, begin = found["name"], found.end()
    if is_user(name) and not found["colon"]:
        ended = len(text) if end is End.TEXT else list_value_end(text, begin)
        said = without_listed_login(text[begin:ended])
        return None if said == text[begin:ended] else (said, ended)
    if not (is_secret(name) or name in also) or text.startswith(HIDDEN, begin):
        return None
    if found["colon"]:
        if text[begin : begin + 1] in (" ", "\t", "\n"):
            # A header of HTTP, which has any text.
            is_shown = text[begin:].isspace() or _SHOWN_SCHEME.match(text, begin)
            return None if is_shown else (text[begin] + HIDDEN, len(text))
        if not _is_assignment(text, found):
            return None
    ended = len(text) if end is End.TEXT or _goes_to_the_end(text, found) else list_value_end(text, begin)
    value = text[begin:ended].strip(" \"'")
    if not value or (name not in also and may_show(name, value)):
        return None
    return HIDDEN, ended


def _value_of_option(option: str, word: re.Match[str] | None) -> str | None:
    """Return what is shown of a secret after an option, if there is one. It may be more than a word."""
    value = word[0] if word else ""
    if takes_secret(option):
        return None if may_show_after(option, value) else HIDDEN
    said = without_login(option, value) if takes_login(option) else value
    return said if said != value else None


def _is_assignment(text: str, found: re.Match[str]) -> bool:
    """Return whether ``name:`` sets a secret; ``/etc/token:``, ``x@token:`` and ``key:`` alone do not."""
    is_part = not _is_first(text, found) and text[found.start() - 1] in "/@"
    is_alone = found.end() == len(text) or text[found.end()] in "/:,"
    return not (is_part or is_alone or is_key_or_cookie(found["name"]))


def _is_first(text: str, found: re.Match[str]) -> bool:
    """Return whether a text begins with this name, or with a slash and it, as options of Windows do."""
    return found.start() == 0 or (found.start() == 1 and text[0] == "/")


def _goes_to_the_end(text: str, found: re.Match[str]) -> bool:
    """Return whether a value may have commas: of the environment, a header, or in unknown quotes."""
    begins = found.start() == 0 or text[found.start() - 1] in " \t\n\"'"
    is_variable = begins and _VARIABLE.fullmatch(found["name"]) is not None
    return is_variable or bool(found["json"]) or (bool(found["colon"]) and _is_first(text, found))


def _json(text: str, at: int, also: frozenset[str], depth: int) -> tuple[str, int]:
    """Return JSON that begins here as it is shown, and where it ends: with its bracket, or a single value."""
    shown = ""
    option = ""
    nesting = 0
    while found := json_token(text, at):
        token, at = found[0], found.end()
        colon = _COLON.match(text, at)
        if token[0] not in "\"'":
            option = option if token.isspace() or token == "," else ""
            nesting += (token in ("{", "[")) - (token in ("}", "]"))
            said, is_open = _plain(token, also, End.LIST) if len(token) > 1 else (token, False)
            shown += said
            if is_open:
                return shown, len(text)
        elif colon:
            name = json_string(token)
            shown += token + colon[0].rstrip()
            # What is secret by its name was seen to, and ``auth`` is as often a way as a proof.
            option = "" if takes_secret(f"--{name}") else "--" + name.replace("_", "-")
            end = json_value_end(text, at + len(colon[0].rstrip()))
            at += len(colon[0].rstrip())
            if not _is_secret_value(name, text[at:end], also):
                continue
            shown += HIDDEN
            option = ""
            at = end
        else:
            said = json_string(token)
            shown += _json_text(token, said, option, depth)
            option = said
        if nesting <= 0 and not token.isspace():
            break
    return shown, at


def _is_secret_value(name: str, written: str, also: frozenset[str]) -> bool:
    value = written.strip(" \"'")
    if name == _CEPH_PAIRS:
        return True
    return name in also or (is_secret(name) and not may_show(name, value))


def _json_text(token: str, said: str, option: str, depth: int) -> str:
    """Return a string of JSON as it is shown: as it is written, unless there is a secret in it."""
    if takes_secret(option):
        shown = said if may_show_after(option, said) else HIDDEN
    elif names_secret(option) and not said.startswith("-"):
        shown = HIDDEN
    else:
        login = without_login(option, said) if takes_login(option) else said
        shown = without_secrets(login, option, End.LIST, depth + 1)
    if shown == said:
        return token
    parts = (json.dumps(part, ensure_ascii=False)[1:-1] for part in shown.split(HIDDEN))
    return token[0] + HIDDEN.join(parts) + token[0]
