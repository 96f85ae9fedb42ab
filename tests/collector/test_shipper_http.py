# SPDX-License-Identifier: Apache-2.0
"""One connection to a server: its token, its address, and whom it trusts."""

import ssl
import subprocess
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from collector.errors import ServerAddressError
from collector.ship.answer import Verdict
from collector.ship.uplink import Uplink
from tests.collector.server import Reply, serve


def test_the_token_is_sent(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kf_secret\n")
    with serve() as server:
        uplink = Uplink(server.url, token_file=tmp_path / "token")
        assert uplink.send(b"1").verdict is Verdict.ACCEPTED
        uplink.close()
        headers = server.next_request().headers
        assert headers["authorization"] == "Bearer kf_secret"
        # What this clock says now, whenever the batch was made.
        assert abs(parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < 600


def test_a_refused_token_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    with serve(Reply(), Reply(401)) as server:
        uplink = Uplink(server.url, token_file=tmp_path / "token")
        uplink.send(b"1")
        (tmp_path / "token").write_text("new")
        assert uplink.send(b"2").verdict is Verdict.ACCEPTED
        uplink.close()
        tokens = [server.next_request().headers["authorization"] for _ in range(3)]
    assert tokens == ["Bearer old", "Bearer old", "Bearer new"]


def test_a_token_that_stays_refused_is_tried_later(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("wrong")
    with serve(Reply(401)) as server:
        uplink = Uplink(server.url, token_file=tmp_path / "token")
        answer = uplink.send(b"1")
        uplink.close()
    assert (answer.verdict, answer.is_unauthorized) == (Verdict.LATER, True)
    assert answer.detail == (
        f"the server does not accept the token in {tmp_path / 'token'} (401 Unauthorized, not from a"
        " kvmfaults server: a proxy's answer, or a wrong address)"
    )


@pytest.mark.parametrize("content", ["", "two words", "caf\xe9", "a\x07b"])
def test_a_file_without_a_token_is_said_and_tried_later(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    uplink = Uplink("http://127.0.0.1:1", token_file=tmp_path / "token")
    answer = uplink.send(b"1")
    uplink.close()
    assert (answer.verdict, answer.detail) == (
        Verdict.LATER,
        f"token file {tmp_path / 'token'} does not hold a token",
    )


def test_a_token_file_that_comes_later_is_used(tmp_path: Path) -> None:
    with serve() as server:
        uplink = Uplink(server.url, token_file=tmp_path / "token")
        assert "cannot be read: No such file" in uplink.send(b"1").detail
        (tmp_path / "token").write_text("kf_secret")
        assert uplink.send(b"1").verdict is Verdict.ACCEPTED
        uplink.close()


@pytest.mark.parametrize(
    "server",
    [
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "",
        "http://[",
        "http://.",
        "http://xn--",
        "http://a b",
        "http://host:port",
        "https://host/?a=b",
    ],
)
def test_a_server_that_is_no_url_is_one_clear_error(server: str) -> None:
    with pytest.raises(ServerAddressError, match="is not a URL"):
        Uplink(server)


def test_a_missing_certificate_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ServerAddressError, match=r"ca\.pem cannot be used: No such file"):
        Uplink("https://host", ca_file=tmp_path / "ca.pem")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1 that only who names it trusts; its key is in the same file."""
    key, path = tmp_path / "key.pem", tmp_path / "ca.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-keyout",
        str(key),
        "-out",
        str(path),
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    path.write_text(path.read_text() + key.read_text())
    return path


def test_a_certificate_is_verified(certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serve(tls=tls) as server:
        uplink = Uplink(server.url)
        answer = uplink.send(b"1")
        uplink.close()
    assert answer.verdict is Verdict.LATER
    assert "CERTIFICATE_VERIFY_FAILED" in answer.detail


def test_a_certificate_of_ones_own_is_trusted_when_named(certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serve(tls=tls) as server:
        uplink = Uplink(server.url, ca_file=certificate)
        assert uplink.send(b"1").verdict is Verdict.ACCEPTED
        uplink.close()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serve() as server:
        uplink = Uplink(server.url)
        assert uplink.send(b"1").verdict is Verdict.ACCEPTED
        uplink.close()
