# SPDX-License-Identifier: Apache-2.0
"""Whatever a secret is made of: written as its form wants it, no part of it is shown."""

import json
import shlex
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from collector.vms.identity.secrets import command_text

# Letters that no form below has; and all that has a meaning in one of them.
SECRETS = st.text(alphabet="QXZ079\"'\\,;:=@/%&#?{}[]()<> \t\n\u00a0-–é", min_size=4, max_size=40).map(
    "Z".__add__
)


def _list(secret: str) -> str:
    """As QEMU's lists have it."""
    return secret.replace(",", ",,")


def _kernel(word: str) -> str:
    """A word of a kernel's command line, which has no way to write a quote."""
    return '"' + word.replace('"', "") + '"'


def _rbd(secret: str) -> str:
    return _list("".join("\\" + mark if mark in ":\\=@" else mark for mark in secret))


def _json_in_quotes(value: str) -> str:
    """QEMU's own JSON, whose strings may be in single quotes."""
    return "'" + json.dumps(value)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


Form = Callable[[str], list[str]]
FORMS: dict[str, Form] = {
    "an option's value": lambda s: ["--password", s],
    "an option with its value": lambda s: [f"--api-key={s}"],
    "an object": lambda s: ["-object", f"secret,id=s,data={_list(s)},format=raw"],
    "an object as one argument": lambda s: [f"--object=secret,id=s,data={_list(s)}"],
    "a list": lambda s: ["-iscsi", f"user=u,password=a{_list(s)},x=1"],
    "firmware": lambda s: ["-fw_cfg", f"name=opt/a,string=a{_list(s)}"],
    "JSON": lambda s: ["-object", json.dumps({"qom-type": "secret", "data": s, "id": "s"})],
    "JSON not only of ASCII": lambda s: [json.dumps({"x": 1, "password": s, "y": [1]}, ensure_ascii=False)],
    "JSON with blanks": lambda s: [json.dumps({"x": 1, "password": s, "y": [1]}, indent=2)],
    "JSON in single quotes": lambda s: ["-object", f"{{'qom-type':'secret','data':{_json_in_quotes(s)}}}"],
    "a file as JSON": lambda s: [
        "-drive",
        "file=json:" + _list(json.dumps({"a": "b", "password": s})) + ",if=x",
    ],
    "lists in JSON": lambda s: [json.dumps({"x": 1, "tokens": [[s], {"a": s}, s], "y": [1]})],
    "objects in JSON": lambda s: [json.dumps({"x": {"secret": {"a": {"b": s}, s: s, "c": s}}})],
    "JSON in JSON": lambda s: [json.dumps({"x": json.dumps({"y": json.dumps({"token": s, "z": 1})})})],
    "arguments in JSON": lambda s: [json.dumps({"args": ["--password", s, "-m", "1"]})],
    "the kernel's word": lambda s: ["-append", f"ro {_kernel('db_password=a' + s)} ro"],
    "the kernel's quoted value": lambda s: ["-append", f"ro db_password={_kernel('a' + s)} ro"],
    "the kernel's option": lambda s: ["-append", f"ro --token {_kernel('a' + s)} ro"],
    "the environment": lambda s: ["-e", f"PASSWORD=a{s}"],
    "a variable": lambda s: [f"--env=DB_PASSWORD_PROD=a{s}"],
    "a shell": lambda s: ["sh", "-c", f"exec x --password {shlex.quote(s)} y"],
    "a variable in a shell": lambda s: ["sh", "-c", f"x PASSWORD={shlex.quote(s)} y"],
    "JSON in a shell": lambda s: [
        "sh",
        "-c",
        "curl -d " + shlex.quote(json.dumps({"token": s, "x": 1})) + " y",
    ],
    "a shell in a shell": lambda s: [
        "sh",
        "-c",
        "sh -c " + shlex.quote("x -u me:" + shlex.quote("a" + s)) + " y",
    ],
    "what QEMU runs": lambda s: ["-incoming", f"exec:curl --user {shlex.quote('me:a' + s)} y"],
    "a URL": lambda s: ["-drive", f"file=http://u:a{_list(quote(s, safe=''))}@host/x,format=raw"],
    "a URL in JSON": lambda s: [json.dumps({"file": f"ssh://u:a{quote(s, safe='')}@host/x", "x": 1})],
    "iSCSI": lambda s: ["-drive", f"file=iscsi://u%a{quote(s, safe='')}@host/x,format=raw"],
    "Ceph": lambda s: ["-drive", f"file=rbd:p/i:id=a:key={_rbd('a' + s)}:conf=x,format=raw"],
    "a header": lambda s: ["-H", f"X-Auth-Token: a{s}"],
    "a user and a password": lambda s: ["-u", f"me:a{s}"],
    "an option's value with a hyphen": lambda s: ["--password", f"-{s}"],
    "an option's value like an option": lambda s: ["-db-token", f"--{s}"],
    "a name and a colon": lambda s: [f"password:{s}"],
    "an option and a colon": lambda s: [f"--db-password:{s}"],
    "an option with a slash": lambda s: [f"/password:{s}"],
    "a colon in a list": lambda s: ["--set", f"user:u,password:a{_list(s)},x:1"],
    "a header in two arguments": lambda s: ["-H", "X-Auth-Token:", f"a{s}"],
    "a header in three arguments": lambda s: ["-H", "Authorization:", "Bearer", f"a{s}"],
    "a header in JSON": lambda s: [json.dumps({"args": ["curl", "-H", "X-Auth-Token:", s, "-m", "1"]})],
    "a login in JSON": lambda s: [json.dumps({"args": ["curl", "--proxy-user", f"DOMAIN/me:{s}", "-m"]})],
    "a user and a password in one argument": lambda s: [f"--proxy-user=me:a{s}"],
    "a user and a password at once": lambda s: [f"-ume:a{s}"],
    "a user, whatever the option is called": lambda s: ["--http-username", f"me:{s}"],
    "a login with one hyphen": lambda s: ["-login", f"me:{s}"],
    "a user with a domain": lambda s: ["--user", f"me@example.org:{s}"],
    "a user with a domain before": lambda s: ["--user", f"DOMAIN/me:{s}"],
    "a user with blanks": lambda s: ["--user", f"me, or = you:{s}"],
    "a password with a slash": lambda s: ["--user", f"me:/{s}"],
    "a password without a user": lambda s: ["--user", f":{s}"],
    "a user in a list": lambda s: ["-o", f"addr=h,user=me:a{_list(s)},x=1"],
    "a user of Samba in a list": lambda s: ["-o", f"addr=h,username=me%a{_list(s)},x=1"],
    "curl's options at once": lambda s: ["curl", "-sSu", f"me:{s}"],
    "curl's options and their value at once": lambda s: ["curl", f"-sSume:{s}"],
    "curl's certificate": lambda s: ["curl", "--cert", f"/etc/me.pem:{s}"],
    "a bearer's token": lambda s: ["--oauth2-bearer", s],
    "sshpass": lambda s: ["sshpass", f"-p{s}", "ssh", "h"],
    "MySQL": lambda s: ["mysql", "-u", "me", f"-p{s}"],
    "IPMI": lambda s: ["ipmitool", "-U", "me", "-P", s],
    "LDAP in a shell": lambda s: ["sh", "-c", f"ldapsearch -x -w {shlex.quote(s)} y"],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(secret=SECRETS)
@example(secret="Z@Q00")
@example(secret="Z://Q:Z@Q00")
def test_no_part_of_a_secret_is_shown(form: Form, secret: str) -> None:
    around = " ".join(["vmm", *form("another"), "-m", "1"])
    for written in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        # Four marks that stand around every secret, as JSON's do, show nothing of this one.
        assume(written[-4:] not in around)
        assert written[-4:] not in command_text(["vmm", *form(secret), "-m", "1"]).replace("vmm", "")
