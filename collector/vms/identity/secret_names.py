# SPDX-License-Identifier: Apache-2.0
"""Which names are those of secrets, and which of their values may be shown all the same."""

import re

_ENDINGS = ("password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "pwd")
_WHOLE = frozenset(
    (
        *("pass", "key", "psk", "osk", "bearer", "cookie", "txcookie", "rxcookie", "authorization"),
        *("apikey", "accesskey", "authkey", "masterkey", "privatekey", "secretkey", "sharedkey", "sshpass"),
        *("dbpass", "userpass", "keypass", "pw", "rootpw", "settingspw"),
    )
)
_NOT_SECRET = frozenset(("pub", "public", "authorized", "no", "ask"))
"""A name with one of these words: a public key, an option that turns something off."""
_ABOUT = frozenset(
    (
        *("file", "files", "filename", "path", "dir", "directory", "folder", "fd", "prompt", "url", "uri"),
        *("endpoint", "host", "server", "address", "port", "name", "names", "username", "ref", "reference"),
        *("id", "arn", "type", "kind", "format", "encoding", "algorithm", "method", "mode", "header"),
        *("policy", "length", "len", "size", "bits", "min", "max", "count", "limit", "num", "number"),
        *("ttl", "timeout", "expiry", "expires", "expiration", "lifetime", "age", "duration", "interval"),
        *("version", "manager", "provider", "store", "storage", "backend", "engine", "service", "namespace"),
        *("class", "enable", "enabled", "disable", "disabled", "required", "check", "authentication"),
        *("command", "cmd", "program", "helper", "script", "issuer", "audience", "scope", "scopes", "realm"),
        *("iterations", "rotation", "bucket", "mount", "volume", "env", "source", "socket", "device", "slot"),
    )
)
"""Words after ``password``, ``token`` or ``secret`` that make it a thing about one: ``token-file``."""
_FORMS = frozenset(
    (
        *("base", "b", "hex", "pem", "json", "hash", "value", "data", "content", "contents", "text", "plain"),
        *("prod", "production", "staging", "stage", "dev", "test", "old", "new", "backup", "enc", "encoded"),
    )
)
"""Words after ``private-key`` that say which, or how it is written: ``PRIVATE_KEY_BASE64``."""
_NOT_PROOF = _NOT_SECRET | {"enable", "disable", "require", "without", "skip"}
"""With one of these words, an option is about whether somebody is authenticated."""
_SECRET_OBJECT = re.compile(r"(?:proxy-)?(?:password|key|cookie)-secret")
"""QEMU's names for the id of the object that has the secret."""
_PART = re.compile(r"pass|pwd|pw|secret|token|credential|key|psk|osk|cookie|auth|pat|bearer", re.IGNORECASE)
"""Without one of these no name is a secret's, which most are not."""
_OPTION = re.compile(r"-+[\w.:-]+")
_SWITCHES = frozenset(("", "on", "off", "yes", "no", "true", "false", "null"))
_SCHEMES = frozenset(
    (
        *("none", "basic", "digest", "bearer", "token", "password", "key", "chap", "ntlm", "negotiate"),
        *("any", "peer", "trust", "sasl", "plain", "md5", "tls", "x509", "cephx", "oauth", "oauth2"),
    )
)
"""How somebody is authenticated, rather than with what."""
_CPUS = re.compile(r"\d{1,3}|\d+(?:[-,:]\d+)+")
"""What is pinned to CPUs. A PIN has four digits or more."""
_PATH = re.compile(r"/(?:boot|dev|etc|home|lib|mnt|nix|opt|proc|root|run|srv|sys|tmp|usr|var)/[\w./@+-]*")
_KEY_FILE = re.compile(r"(?:\.{1,2}/)?[\w./@+-]{1,256}\.(?:key|pem|crt|cer|der|p12|pfx|jks|aes|bin|txt)")
"""Of a key: it is in a file more often than not."""


def is_secret(name: str) -> bool:
    """Return whether what has this name is a secret: ``DB_PASSWORD``, ``apiKey``; not ``token-file``."""
    if not _PART.search(name) or _SECRET_OBJECT.fullmatch(name.rpartition(".")[2]):
        return False
    words = words_of(name)
    if _NOT_SECRET.intersection(word.lower() for word in words):
        return False
    if words[-1:] == ["PAT"] or (len(words) > 1 and words[-1] == "pat"):
        # A personal access token; ``pat`` alone is a feature of CPUs, or a pattern.
        return True
    # Also however capitals are strewn in: ``PassWord`` is one word.
    plain = re.findall(r"[a-z]+", name.lower())
    return _are_secret([word.lower() for word in words]) or _are_secret(plain)


def takes_secret(option: str) -> bool:
    """Return whether the value of an option, as ``--password``, is a secret."""
    if not _OPTION.fullmatch(option):
        return False
    name = option.lstrip("-")
    return is_secret(name) or takes_proof(option) or last_word(name) == "pin"


def takes_proof(option: str) -> bool:
    """Return whether an option, as ``--auth``, may have a proof of identity, its kind, or no value."""
    words = words_of(option)
    return last_word(option) == "auth" and not _NOT_PROOF.intersection(word.lower() for word in words)


def may_show(name: str, value: str) -> bool:
    """Return whether the value of a secret's name is no secret itself: a switch, a file's path, a number."""
    if value.lower() in _SWITCHES or _PATH.fullmatch(value):
        return True
    if name.lower().endswith("key") and _KEY_FILE.fullmatch(value):
        return True
    return value.isdecimal() and _is_plural(last_word(name))


def may_show_after(option: str, value: str) -> bool:
    """Return the same of the value of an option that takes a secret."""
    name = option.lstrip("-")
    if is_secret(name):
        return may_show(name, value)
    if last_word(name) == "pin" and _CPUS.fullmatch(value):
        return True
    return value.lower() in _SCHEMES | _SWITCHES or _PATH.fullmatch(value) is not None


def is_key_or_cookie(name: str) -> bool:
    """Return whether a name is only this word, which is as often one of another thing."""
    return words_of(name) in (["key"], ["keys"], ["cookie"])


def _are_secret(words: list[str]) -> bool:
    if not words:
        return False
    if _is_secret_word(words[-1]) or _is_plural(words[-1]):
        return True
    for at, word in enumerate(words):
        after = words[at + 1 :]
        # An application's role has a "secret id" at Vault: it is its password.
        if word.endswith(_ENDINGS) and (
            (word == "secret" and after == ["id"]) or not _ABOUT.intersection(after)
        ):
            return True
    while words[-1:] and words[-1] in _FORMS:
        words = words[:-1]
    return len(words) > 1 and _is_secret_word(words[-1])


def words_of(name: str) -> list[str]:
    """Return the words of a name, without digits: those of ``DB_PASSWORD1`` are DB and PASSWORD."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)


def last_word(name: str) -> str:
    """Return the last of a name's words in small letters, empty where it has none."""
    words = words_of(name)
    return words[-1].lower() if words else ""


def _is_secret_word(word: str) -> bool:
    return word in _WHOLE or word.endswith(_ENDINGS)


def _is_plural(word: str) -> bool:
    """Return whether these are secrets, or how many: ``API_KEYS``, ``tokens=5``."""
    return not _is_secret_word(word) and word.endswith("s") and _is_secret_word(word.removesuffix("s"))
