# SPDX-License-Identifier: Apache-2.0
"""The command kvmfaults-server."""

import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.store import open_store
from tests.backend.process import run, serving


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATABASE",
        "HOST",
        "PORT",
        "FRONTEND",
        "EXPECT_COLLECTOR",
        "ALLOWED_HOSTS",
        "TRUSTED_PROXIES",
    ):
        monkeypatch.delenv(f"KVMFAULTS_{name}", raising=False)


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail with one line, and return the line."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kvmfaults-server: ")
    assert err.count("\n") == 1
    return err.removeprefix("kvmfaults-server: ").strip()


def test_decode_explains_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "x86_64:npf", "0x200000006"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("x86_64:npf 0x200000006 (8589934598)\n")
    assert "guest_page" in out


@pytest.mark.parametrize(
    ("target", "word", "line"),
    [
        ("x86_64:npf", "0xzz", "'0xzz' is not a number; write it as 0x1f or 31"),
        ("x86_64:npf", "0x1ffffffffffffffff", "0x1ffffffffffffffff does not fit in 64 bits"),
        ("x86_64:esr", "1", "x86_64 has no syndrome format 'esr'; it has ept, npf, pferr"),
        ("z80", "1", "no architecture 'z80'; there is aarch64, riscv64, x86_64, exit, exit-reason, errno"),
    ],
)
def test_decode_refuses_what_it_cannot_read(
    capsys: pytest.CaptureFixture[str], target: str, word: str, line: str
) -> None:
    assert failure(capsys, "decode", target, word) == line


@pytest.mark.parametrize(
    "arguments",
    [("kvm_userspace_exit: reason error (14)",), ("kvm_userspace_exit:", "reason", "error", "(14)")],
)
def test_decode_explains_a_pasted_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(["decode", *arguments]) == 0
    assert "EFAULT" in capsys.readouterr().out


def test_decode_reads_lines_from_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backend", "decode", "-"],
        input="error: kvm run failed Bad address\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "errno 14" in done.stdout


def test_decode_is_a_command_of_its_own() -> None:
    done = run("decode", "exit", "8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "private" in done.stdout


def test_migrate_makes_a_database_that_can_be_served(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert main(["migrate", "--database", url]) == 0
    assert main(["migrate", "--database", url]) == 0
    open_store(url).check_schema()


def test_a_database_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = failure(capsys, "migrate")
    assert line == "no database named; give --database URL or set KVMFAULTS_DATABASE"


def test_the_environment_may_name_the_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KVMFAULTS_DATABASE", f"sqlite:///{tmp_path / 'new.db'}")
    assert main(["migrate"]) == 0
    assert (tmp_path / "new.db").exists()


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "sqlite://", "sqlite:////no/such/folder/x.db"])
def test_a_database_that_cannot_be_opened_is_refused(capsys: pytest.CaptureFixture[str], url: str) -> None:
    failure(capsys, "migrate", "--database", url)


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("postgresql://u:hunter2@localhost:1/x", True),
        ("postgresql://u@localhost:1/x?password=hunter2", True),
        ("postgresql://u@localhost:1/x?service=kvmfaults", False),
    ],
)
def test_a_password_on_the_command_line_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, is_warned: bool
) -> None:
    assert main(["token", "list", "--database", url]) == 2
    said = capsys.readouterr().err
    assert ("every user of this machine can read the password in --database" in said) == is_warned
    assert "hunter2" not in said
    monkeypatch.setenv("KVMFAULTS_DATABASE", url)
    assert main(["token", "list"]) == 2
    assert "every user" not in capsys.readouterr().err


def test_a_database_and_a_token_that_were_open_to_others_are_closed(tmp_path: Path) -> None:
    database, token = tmp_path / "k.db", tmp_path / "ingest.token"
    create = ["token", "create", "--kind", "ingest", "--host", "a", "--file", str(token), "--if-missing"]
    for command in (["migrate"], create):
        assert main([*command, "--database", f"sqlite:///{database}"]) == 0
    for path in (database, token):
        path.chmod(0o644)
    assert main([*create, "--database", f"sqlite:///{database}"]) == 0
    assert [oct(path.stat().st_mode & 0o777) for path in (database, token)] == ["0o600", "0o600"]


def test_a_file_that_is_no_database_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 1000)
    assert "not a database" in failure(
        capsys, "serve", "--port", "0", "--database", f"sqlite:///{tmp_path}/x.db"
    )


def test_serve_refuses_a_database_that_is_not_migrated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "new.db").touch()
    line = failure(capsys, "serve", "--port", "0", "--database", f"sqlite:///{tmp_path / 'new.db'}")
    assert line == "the database has no tables of kvmfaults yet; run: kvmfaults-server migrate --database URL"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "somewhere.example"])
def test_serve_refuses_to_be_reached_from_elsewhere_without_a_token(
    capsys: pytest.CaptureFixture[str], database: str, tmp_path: Path, host: str
) -> None:
    ingest = ("token", "create", "--kind", "ingest", "--host", "host-1", "--file", str(tmp_path / "ingest"))
    assert main([*ingest, "--database", database]) == 0
    capsys.readouterr()
    line = failure(capsys, "serve", "--port", "0", "--host", host, "--database", database)
    assert line.startswith(f"{host} can be reached from elsewhere and no read token exists; make one with")


def test_serve_names_an_address_that_is_taken(capsys: pytest.CaptureFixture[str], database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failure(capsys, "serve", "--port", str(port), "--database", database)
    assert line == f"cannot listen on 127.0.0.1 port {port}: Address already in use"


@pytest.mark.parametrize("port", ["65536", "-1", "http", "1e3", "９"])
def test_what_is_no_port_is_refused(capsys: pytest.CaptureFixture[str], database: str, port: str) -> None:
    line = failure(capsys, "serve", f"--port={port}", "--database", database)
    assert line == f"port {port!r} is not a number from 0 to 65535"


def test_an_ingest_token_is_for_a_host_and_a_read_token_for_none(
    capsys: pytest.CaptureFixture[str], database: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "token")
    for arguments in (
        ("--kind", "ingest"),
        ("--kind", "read", "--host", "host-1"),
        ("--kind", "record", "--host", "host-1"),
    ):
        line = failure(capsys, "token", "create", *arguments, "--file", file, "--database", database)
        assert line == "an ingest token is for one --host, tokens of other kinds for none"
    assert not Path(file).exists()


@pytest.mark.parametrize("kind", ["read", "record"])
def test_no_token_is_ever_printed(
    capsys: pytest.CaptureFixture[str], database: str, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "token"
    assert main(["token", "create", "--kind", kind, "--file", str(file), "--database", database]) == 0
    out, err = capsys.readouterr()
    assert out == f"kvmfaults: {kind} token in {file}\n"
    assert file.read_text().strip() not in out + err
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        assert file.read_text().strip() not in "".join(connection.iterdump())


def test_settings_come_from_the_environment(database: str) -> None:
    with serving(KVMFAULTS_DATABASE=database, KVMFAULTS_EXPECT_COLLECTOR="0", KVMFAULTS_HOST="::1") as (
        _,
        url,
    ):
        assert url.startswith("http://[::1]:")


@pytest.mark.parametrize("word", ["maybe", "2"])
def test_a_switch_in_the_environment_is_yes_or_no(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database: str, word: str
) -> None:
    monkeypatch.setenv("KVMFAULTS_EXPECT_COLLECTOR", word)
    line = failure(capsys, "serve", "--port", "0", "--database", database)
    assert line == f"KVMFAULTS_EXPECT_COLLECTOR is {word!r}; write 1 or 0"


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("proxy.example.org", "is no address and no network of addresses"),
        ("192.0.2.1/24", "is no address and no network of addresses: 192.0.2.1/24 has host bits set"),
        ("*", "would let anybody say whose address they have"),
        ("::/0", "would let anybody say whose address they have"),
        ("0.0.0.0/0", "would let anybody say whose address they have"),
    ],
)
def test_what_cannot_be_a_trusted_proxy_is_refused_at_the_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, proxy: str, why: str
) -> None:
    database = f"sqlite:///{tmp_path / 'k.db'}"
    assert f"trusted proxy {proxy!r} {why}" in failure(
        capsys, "serve", "--database", database, "--trusted-proxy", proxy
    )


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["host", "list"],
        ["token", "list"],
        ["retention"],
        ["copy", "--to", "sqlite:///{folder}/copy.db"],
    ],
    ids=" ".join,
)
def test_a_file_that_is_not_there_is_said_and_not_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    named = "--from" if command[0] == "copy" else "--database"
    arguments = [argument.format(folder=tmp_path) for argument in command]
    assert main([*arguments, named, f"sqlite:///{tmp_path}/mistyped.db"]) == 2
    said = capsys.readouterr().err
    assert "there is no file mistyped.db" in said
    assert not (tmp_path / "mistyped.db").exists()
