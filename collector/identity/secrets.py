"""A command line for people: passwords, tokens and keys in it left out, everything else left in."""

import re
from collections.abc import Sequence

from faultmodel.text import cut

COMMAND_LENGTH = 1024
"""Bound of the wire's text, in characters."""
_LOOKED_AT = 8 * COMMAND_LENGTH
"""Of one argument. More than is shown: where a password ends may be told by what follows it."""

_HIDDEN = "\0"
"""Stands for a secret while others are looked for: no argument of a process can hold it."""
_NAME = re.compile(r"""(?<![\w.-])(?P<name>[\w.-]{1,64})"?(?P<equals>[=:])""")
"""``name=`` anywhere in an argument, and ``"name":`` of JSON; ``name:`` alone is no assignment."""
_LIST_VALUE = re.compile(r'\s?"(?:\\.|[^"\\])*"?|(?:[^,]|,,)*')
"""In QEMU's lists, and those like them, a comma ends a value, unless it is doubled. JSON quotes strings."""
_JSON_VALUE = re.compile(r'\s*(?:"(?:\\.|[^"\\])*"?|[^,}\]]*)')
_WORD_VALUE = re.compile(r'"[^"]*"?|\S*')
"""In a kernel's command line a blank ends a value, unless it is quoted."""
_URL_PASSWORD = re.compile(r"""(://[^/?#\s:@,"']*:)[^\s/?#"']*(?=@)""")
_ISCSI_PASSWORD = re.compile(r"(iscsi://[^/?#\s%@]*%)[^\s/?#]*(?=@)")
"""Source: QEMU, "iSCSI": iscsi://[<username>[%<password>]@]<host>..."""
_URL_FIELD = re.compile(r"([?&]([\w.-]{1,64})=)([^&#\s,]*)")
_RBD_KEY = re.compile(r"(:key=)(?:\\.|[^:,\\])*")
"""Ceph's options are parted by colons. Source: QEMU, block/rbd.c, qemu_rbd_parse_filename()."""
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic)\s+[^\s,\"']+", re.I)
_CREDENTIAL = re.compile(
    r"(systemd\.set_credential_binary=)\S*|(io\.systemd\.credential(?:\.binary)?:)(?:[^,]|,,)*"
)
"""Source: systemd.system-credentials(7): the kernel's command line, and SMBIOS strings of type 11."""

_KERNEL_OPTIONS = frozenset(
    (
        "-append",
        "--append",
        "--cmdline",
        "--kernel-cmdline",
        "--kernel-params",
        "--params",
        "-p",
        "--boot-args",
    )
)
"""What follows these is words parted by blanks."""
_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "credential", "credentials", "pwd")
_WHOLE = frozenset(
    (
        *("pass", "key", "psk", "cookie", "authorization", "settingspw"),
        *("apikey", "accesskey", "authkey", "masterkey", "privatekey", "secretkey", "sharedkey", "sshpass"),
        *("dbpass", "userpass", "keypass"),
    )
)
_NOT_SECRET = frozenset(("pub", "public", "authorized", "no", "ask"))
"""A name with one of these words: a public key, an option that turns something off."""
_SECRET_OBJECT = re.compile(r"(?:password|key|cookie)-secret")
"""QEMU's names for the id of the object that has the secret."""
_SWITCHES = frozenset(("", "on", "off", "yes", "no", "true", "false", "null"))
_PATH = re.compile(r"/(?:boot|dev|etc|home|lib|mnt|nix|opt|proc|root|run|srv|sys|tmp|usr|var)/[\w./@+-]*")


def command_text(command: Sequence[str]) -> str:
    """Return a command line on one line and bounded, with an ellipsis in the place of each secret."""
    shown = ""
    before = ""
    for argument in command:
        looked_at = argument[:_LOOKED_AT]
        if before.startswith("-") and is_secret(before.lstrip("-")) and not looked_at.startswith("-"):
            shown += f" {_HIDDEN}"
        else:
            shown += f" {_without_secrets(looked_at, before)}"
        if len(shown) > COMMAND_LENGTH + 1:
            break
        before = looked_at
    return cut(shown.removeprefix(" ").replace(_HIDDEN, "…"), COMMAND_LENGTH)


def is_secret(name: str) -> bool:
    """Tell whether what is set by this name is a secret: ``DB_PASSWORD``, ``apiKey``; not ``token-file``."""
    if _SECRET_OBJECT.fullmatch(name.rpartition(".")[2]):
        return False
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    last = words[-1].lower() if words else ""
    if _NOT_SECRET.intersection(word.lower() for word in words):
        return False
    return last in _WHOLE or last.endswith(_ENDINGS)


def _without_secrets(argument: str, option: str) -> str:
    argument = _URL_PASSWORD.sub(rf"\1{_HIDDEN}", argument)
    argument = _ISCSI_PASSWORD.sub(rf"\1{_HIDDEN}", argument)
    argument = _URL_FIELD.sub(lambda found: found[1] + _value(found[2], found[3]), argument)
    argument = _AUTHORIZATION.sub(rf"\1 {_HIDDEN}", argument)
    argument = _CREDENTIAL.sub(lambda found: f"{found[1] or found[2]}{_HIDDEN}", argument)
    if "rbd:" in argument:
        argument = _RBD_KEY.sub(rf"\1{_HIDDEN}", argument)
    name, equals, rest = argument.partition("=")
    if equals and name in _KERNEL_OPTIONS:
        return f"{name}={_without_values(rest, _WORD_VALUE, frozenset())}"
    if option in _KERNEL_OPTIONS:
        return _without_values(argument, _WORD_VALUE, frozenset())
    return _without_values(argument, _LIST_VALUE, _secret_here(argument, option))


def _secret_here(argument: str, option: str) -> frozenset[str]:
    """Names that are secret in this argument only."""
    if argument.startswith("secret,") or re.search(r'(?:"qom-type"\s*:\s*"|qom-type=)secret\b', argument):
        return frozenset(("data",))
    # A text handed to the guest's firmware: its name does not show what it is.
    return frozenset(("string",)) if option in ("-fw_cfg", "--fw_cfg") else frozenset()


def _without_values(text: str, value: re.Pattern[str], also: frozenset[str]) -> str:
    shown = ""
    at = 0
    for found in _NAME.finditer(text):
        name, is_json = found["name"], found["equals"] == ":"
        if found.start() < at or (is_json and '"' not in found[0]) or text.startswith(_HIDDEN, found.end()):
            continue
        if not (name in also or is_secret(name)):
            continue
        ended = (_JSON_VALUE if is_json else value).match(text, found.end())
        assert ended is not None, "an empty value matches"
        if _value(name, ended[0].strip(' "'), also) == _HIDDEN:
            shown += text[at : found.end()] + _HIDDEN
            at = ended.end()
    return shown + text[at:]


def _value(name: str, value: str, also: frozenset[str] = frozenset()) -> str:
    """Return a value as it may be shown: a switch, or the path of a file, is no secret itself."""
    if not (name in also or is_secret(name)) or value.lower() in _SWITCHES or value == _HIDDEN:
        return value
    return value if name not in also and _PATH.fullmatch(value) else _HIDDEN
