# SPDX-License-Identifier: Apache-2.0
"""Passwords and signatures in URLs and in what looks like them."""

import re

from collector.vms.identity.secret_names import is_secret, may_show

HIDDEN = "\0"
"""Stands for a secret while others are looked for: no argument of a process can hold it."""
_URL_LOGIN = re.compile(
    r"""(://[^/?#\s:@,"'\[\0]*?(?::|%3[Aa]))(?!\d*(?:,(?!,)|[/?#\s"']|\Z))([^\s/?#\0]*+)"""
)
"""A port is no password."""
_ISCSI_LOGIN = re.compile(r"(iscsi://[^/?#\s%@]*%)([^\s/?#\0]*+)")
"""Source: QEMU, "iSCSI": iscsi://[<username>[%<password>]@]<host>..."""
_DRACUT_LOGIN = re.compile(r"(\biscsi:(?!//)[^\s:@/]*:)([^\s/\0]*+)")
"""Source: dracut.cmdline(7), netroot=iscsi:[<username>:<password>[:<reverse>:<password>]@]..."""
_LONG = 1024
"""Characters without a host behind them: it may be behind what is looked at."""
_BEFORE_HOST = re.compile(
    r"""(?<![^\s=,"'])(?!(?i:udp|tcp|unix|vsock|rbd|nbd|fd|file|mailto|sips?):)([\w.+-]{1,64}+:)"""
    r"""[^\s/?#"',\0]{1,256}(?=@(?!sha\d+:)(?:[A-Za-z[]|\d{1,3}(?:\.\d{1,3}){3}))"""
)
"""``user:password@host`` that is no URL. QEMU has ``udp:host:port@host:port``, the kernel ``size@offset``, an
image ``name:tag@sha256:``."""
_ANY = re.compile(r"[@?&]|://|rbd:|bearer|basic", re.IGNORECASE)
"""Without one of these there is nothing of all this."""
_BLANK_OR_HIDDEN = re.compile(r"[\s\0]|\Z")
_URL_FIELD = re.compile(r"([?&]([\w.-]++)=)([^&#\s,]*)")
_SIGNATURES = ("sig", "signature")
"""Who has a signed URL has what it points to."""
_RBD_VALUE = r"(?:\\(?:,,|.)?|,,|[^:,\\])*+"
_RBD_KEY = re.compile(rf"(rbd:(?:\\.|,,|[^,\s\\]){{0,{_LONG}}}?:key=){_RBD_VALUE}", re.DOTALL)
"""Ceph's options are parted by colons. Source: QEMU, block/rbd.c, qemu_rbd_parse_filename()."""
_FAR_RBD_KEY = re.compile(rf"(:key=){_RBD_VALUE}", re.DOTALL)
"""Behind a blank in an image's name, or behind more options than ``_RBD_KEY`` looks at."""
_AUTHORIZATION = re.compile(r"\b(Bearer|Basic)\s+[^\s,\"']+", re.I)


def without_passwords(text: str) -> str:
    """Return a text with a mark in the place of each password of a URL, key of Ceph and bearer's token."""
    if not _ANY.search(text):
        return text
    # First: a key may hold an ``@``, which would end what the other patterns hide.
    text = _RBD_KEY.sub(rf"\1{HIDDEN}", text)
    for pattern in (_ISCSI_LOGIN, _URL_LOGIN, _DRACUT_LOGIN):
        text = _without_logins(text, pattern)
    text = _BEFORE_HOST.sub(_before_host, text)
    text = _URL_FIELD.sub(_field, text)
    text = _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
    return _FAR_RBD_KEY.sub(rf"\1{HIDDEN}", text) if "rbd:" in text else text


def _without_logins(text: str, pattern: re.Pattern[str]) -> str:
    shown = ""
    at = 0
    while found := pattern.search(text, at):
        begin, end = found.span(2)
        host = text.rfind("@", begin, end)
        if host < 0 and pattern is not _DRACUT_LOGIN:
            # A password may have a slash in it, although it may not.
            blank = _BLANK_OR_HIDDEN.search(text, end)
            assert blank is not None, "a text ends"
            end = blank.start()
            host = text.rfind("@", begin, end)
        if host < 0 and end - begin > _LONG:
            host = end
        # Where there is no host behind it, none of what was looked at can be a password.
        shown += text[at:begin] + HIDDEN if host >= 0 else text[at:end]
        at = host if host >= 0 else end
    return shown + text[at:]


def _before_host(found: re.Match[str]) -> str:
    # Behind a secret's name all is the secret, also what looks like a host.
    return found[0] if is_secret(found[1][:-1]) else found[1] + HIDDEN


def _field(found: re.Match[str]) -> str:
    name, value = found[2], found[3]
    is_signature = name.lower().endswith(_SIGNATURES)
    return found[1] + (HIDDEN if is_signature or (is_secret(name) and not may_show(name, value)) else value)
