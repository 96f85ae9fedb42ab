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
_NAME = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]++)(?:(?P<json>["'])\s{0,16}:|["']?=|(?P<colon>:)(?![\s/:,\0]|\Z))"""
)
"""``name=`` anywhere in an argument, and ``"name":`` of JSON, in which QEMU takes ``'name':`` too. ``name:``
is less often an assignment: of a volume, an image or a URL the rest is no secret."""
_HEADER = re.compile(
    r"(?:(?<![\w.-])|(?<=\A-H))([\w-]++):[ \t]+(?!(?i:Bearer|Basic) \0)(?=[^\s\0]).*", re.DOTALL
)
"""Of HTTP: ``X-Auth-Token: value``, a blank after its colon. One of which the value is hidden is left out."""
_LIST_VALUE = re.compile(r'\s?"(?:\\.|[^"\\])*"?|(?:[^,]|,,)*')
"""In QEMU's lists, and those like them, a comma ends a value, unless it is doubled. JSON quotes strings."""
_JSON_VALUE = re.compile(r"""\s*(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|\[[^\]]*\]?|\{[^}]*\}?|[^,}\]]*)""")
_WORD_VALUE = re.compile(r""""[^"]*"?|'[^']*'|\S*""")
_QUOTED_WORD = re.compile(r'[^"]*')
"""In a kernel's command line a blank ends a value, unless it is quoted, or the name is with it."""
_URL_PASSWORD = re.compile(r"""(://[^/?#\s:@,"']*:)[^\s/?#"']*(?=@)""")
_ISCSI_PASSWORD = re.compile(r"(iscsi://[^/?#\s%@]*%)[^\s/?#]*(?=@)")
"""Source: QEMU, "iSCSI": iscsi://[<username>[%<password>]@]<host>..."""
_DRACUT_PASSWORD = re.compile(r"(\biscsi:(?!//)[^\s:@/]*:)[^\s@/]*(?=@)")
"""Source: dracut.cmdline(7), netroot=iscsi:[<username>:<password>[:<reverse>:<password>]@]..."""
_URL_FIELD = re.compile(r"([?&]([\w.-]++)=)([^&#\s,]*)")
_SIGNATURES = ("sig", "signature")
"""Who has a signed URL has what it points to."""
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
_ENDINGS = ("password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "pwd")
_WHOLE = frozenset(
    (
        *("pass", "key", "psk", "cookie", "authorization", "settingspw"),
        *("apikey", "accesskey", "authkey", "masterkey", "privatekey", "secretkey", "sharedkey", "sshpass"),
        *("dbpass", "userpass", "keypass", "pw", "rootpw"),
    )
)
_NOT_SECRET = frozenset(("pub", "public", "authorized", "no", "ask"))
"""A name with one of these words: a public key, an option that turns something off."""
_SECRET_OBJECT = re.compile(r"(?:proxy-)?(?:password|key|cookie)-secret")
"""QEMU's names for the id of the object that has the secret."""
_SWITCHES = frozenset(("", "on", "off", "yes", "no", "true", "false", "null"))
_LOGIN = re.compile(r"\A([^:/@\s,=]+:)(?!/).+", re.DOTALL)
_SAMBA_LOGIN = re.compile(r"\A((?:[^%\s,=/:]+/)?[^%\s,=/:]+%).+", re.DOTALL)
"""Source: smbclient(1), -U: [DOMAIN/]USERNAME[%PASSWORD]."""
_BEFORE_HOST = re.compile(
    r"""(?<![^\s=,"'])(?!(?i:udp|tcp|unix|vsock|rbd|nbd|fd|file|mailto|sips?):)([\w.+-]{1,64}+:)"""
    r"""[^\s/?#"',\0]{1,256}(?=@(?!sha\d+:)(?:[A-Za-z[]|\d{1,3}(?:\.\d{1,3}){3}))"""
)
"""``user:password@host`` that is no URL. QEMU has ``udp:host:port@host:port``, the kernel ``size@offset``, an
image ``name:tag@sha256:``."""
_UID_AND_GID = re.compile(r"\d+:\d+")
_LOGIN_OPTIONS = frozenset(("-u", "-U", "--user", "--proxy-user"))
"""Of curl, and those like it: user and password."""
_SAMBA_OPTIONS = frozenset(("-U", "--user"))
_LAUNCHERS = frozenset(("docker", "podman", "nerdctl", "crun", "runc", "bwrap", "unshare", "setpriv"))
"""To these a user is one of the system, followed by a group."""
_SCHEMES = frozenset(
    (
        *("none", "basic", "digest", "bearer", "token", "password", "key", "chap", "ntlm", "negotiate"),
        *("any", "peer", "trust", "sasl", "plain", "md5", "tls", "x509", "cephx", "oauth", "oauth2"),
    )
)
"""How somebody is authenticated, rather than with what."""
_NOT_PROOF = _NOT_SECRET | {"enable", "disable", "require", "without", "skip"}
"""With one of these words, an option is about whether somebody is authenticated."""
_PATH = re.compile(r"/(?:boot|dev|etc|home|lib|mnt|nix|opt|proc|root|run|srv|sys|tmp|usr|var)/[\w./@+-]*")
_KEY_FILE = re.compile(r"(?:\.{1,2}/)?[\w./@+-]{1,256}\.(?:key|pem|crt|cer|der|p12|pfx|jks|aes|bin|txt)")
"""Of a key: it is in a file more often than not."""


def command_text(command: Sequence[str]) -> str:
    """Return a command line on one line and bounded, with an ellipsis in the place of each secret."""
    shown = ""
    before = ""
    launches = bool(command) and command[0].rpartition("/")[2] in _LAUNCHERS
    logins = frozenset() if launches else _LOGIN_OPTIONS
    for argument in command:
        looked_at = argument[:_LOOKED_AT]
        if _takes_secret(before) and not (_takes_proof(before) and looked_at.startswith("--")):
            # Also where it looks like an option: a secret may begin with a hyphen.
            shown += f" {_option_value(before, looked_at)}"
        else:
            shown += f" {_without_secrets(looked_at, before, logins)}"
        if len(shown) > COMMAND_LENGTH + 1:
            break
        before = looked_at
    return cut(shown.removeprefix(" ").replace(_HIDDEN, "…"), COMMAND_LENGTH)


def is_secret(name: str) -> bool:
    """Tell whether what is set by this name is a secret: ``DB_PASSWORD``, ``apiKey``; not ``token-file``."""
    if _SECRET_OBJECT.fullmatch(name.rpartition(".")[2]):
        return False
    words = _words(name)
    if _NOT_SECRET.intersection(word.lower() for word in words):
        return False
    # Ruby on Rails' SECRET_KEY_BASE is one as well.
    if words[-1:] == ["PAT"] or (len(words) > 1 and words[-1] == "pat"):
        # A personal access token; ``pat`` alone is a feature of CPUs, or a pattern.
        return True
    return _is_secret_word(_last(words)) or _is_plural(words) or words[-3:] == ["SECRET", "KEY", "BASE"]


def _takes_secret(option: str) -> bool:
    """Tell whether the value of an option, as ``--password``, is a secret."""
    if not option.startswith("-") or "=" in option:
        return False
    return is_secret(option.lstrip("-")) or _takes_proof(option)


def _takes_proof(option: str) -> bool:
    """Tell whether an option, as ``--auth``, may have what proves who one is, or how, or no value at all."""
    words = _words(option)
    return _last(words) == "auth" and not _NOT_PROOF.intersection(word.lower() for word in words)


def _option_value(option: str, value: str) -> str:
    name = option.lstrip("-")
    if is_secret(name):
        return _value(name, value)
    is_shown = value.lower() in _SCHEMES | _SWITCHES or _PATH.fullmatch(value)
    return value if is_shown else _HIDDEN


def _words(name: str) -> list[str]:
    """Return the words of a name, without digits: those of ``DB_PASSWORD1`` are DB and PASSWORD."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)


def _last(words: list[str]) -> str:
    return words[-1].lower() if words else ""


def _is_secret_word(word: str) -> bool:
    return word in _WHOLE or word.endswith(_ENDINGS)


def _is_plural(words: list[str]) -> bool:
    """Tell whether these are secrets, or how many: ``API_KEYS``, ``tokens=5``."""
    last = _last(words)
    return not _is_secret_word(last) and last.endswith("s") and _is_secret_word(last.removesuffix("s"))


def _without_secrets(argument: str, option: str, logins: frozenset[str]) -> str:
    argument = _URL_PASSWORD.sub(rf"\1{_HIDDEN}", argument)
    argument = _ISCSI_PASSWORD.sub(rf"\1{_HIDDEN}", argument)
    argument = _DRACUT_PASSWORD.sub(rf"\1{_HIDDEN}", argument)
    argument = _BEFORE_HOST.sub(rf"\1{_HIDDEN}", argument)
    argument = _URL_FIELD.sub(_url_field, argument)
    argument = _AUTHORIZATION.sub(rf"\1 {_HIDDEN}", argument)
    argument = _CREDENTIAL.sub(lambda found: f"{found[1] or found[2]}{_HIDDEN}", argument)
    if "rbd:" in argument:
        argument = _RBD_KEY.sub(rf"\1{_HIDDEN}", argument)
    name, equals, rest = argument.partition("=")
    if equals and name in _KERNEL_OPTIONS:
        return f"{name}={_without_values(rest, _WORD_VALUE, frozenset())}"
    if equals and _takes_secret(name):
        return f"{name}={_option_value(name, rest)}"
    if equals and name in logins:
        return f"{name}={_login(name, rest)}"
    if option in logins:
        argument = _login(option, argument)
    elif argument[:2] in logins:
        argument = argument[:2] + _login(argument[:2], argument[2:])
    if option in _KERNEL_OPTIONS:
        return _without_values(argument, _WORD_VALUE, frozenset())
    argument = _HEADER.sub(_header, argument)
    return _without_values(argument, _LIST_VALUE, _secret_here(argument, option))


def _login(option: str, value: str) -> str:
    """Hide the password of ``user:password``; a user and a group in numbers, and a place, have none."""
    if option in _SAMBA_OPTIONS:
        value = _SAMBA_LOGIN.sub(rf"\1{_HIDDEN}", value)
    return _LOGIN.sub(rf"\1{_HIDDEN}", value) if not _UID_AND_GID.fullmatch(value) else value


def _url_field(found: re.Match[str]) -> str:
    is_signature = found[2].lower().endswith(_SIGNATURES)
    return found[1] + (_HIDDEN if is_signature else _value(found[2], found[3]))


def _header(found: re.Match[str]) -> str:
    return f"{found[1]}: {_HIDDEN}" if is_secret(found[1]) else found[0]


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
        name, is_json = found["name"], found["json"] is not None
        if found.start() < at or text.startswith(_HIDDEN, found.end()):
            continue
        if found["colon"]:
            if not _is_assignment(text, found):
                continue
        elif not (name in also or is_secret(name)):
            continue
        is_quoted = value is _WORD_VALUE and text[found.start() - 1 : found.start()] == '"'
        pattern = _JSON_VALUE if is_json else _QUOTED_WORD if is_quoted else value
        ended = pattern.match(text, found.end())
        assert ended is not None, "an empty value matches"
        if _value(name, ended[0].strip(" \"'"), also) == _HIDDEN:
            shown += text[at : found.end()] + _HIDDEN
            at = ended.end()
    return shown + text[at:]


def _is_assignment(text: str, found: re.Match[str]) -> bool:
    """Tell whether ``name:`` sets a secret; ``/etc/token:``, ``x@token:`` and ``key:`` alone do not."""
    is_part = text[found.start() - 1 : found.start()] in ("/", "@") if found.start() else False
    words = _words(found["name"])
    return not is_part and is_secret(found["name"]) and words not in (["key"], ["keys"], ["cookie"])


def _value(name: str, value: str, also: frozenset[str] = frozenset()) -> str:
    """Return a value as it may be shown: a switch, or the path of a file, is no secret itself."""
    if not (name in also or is_secret(name)) or value.lower() in _SWITCHES or value == _HIDDEN:
        return value
    if name in also:
        return _HIDDEN
    is_file = _PATH.fullmatch(value) or (name.lower().endswith("key") and _KEY_FILE.fullmatch(value))
    is_number_of = value.isdecimal() and _is_plural(_words(name))
    return value if is_file or is_number_of else _HIDDEN
