# SPDX-License-Identifier: Apache-2.0
"""The command that sends recordings."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from collector.commands import import_trace as command
from collector.errors import CollectorError
from collector.ship.uplink import Uplink
from collector.trace.errors import TraceError
from collector.trace.hosts import names
from faultmodel import wire
from tests.collector.server import Reply, serve
from tests.collector.trace.recording import event, write

FAULT = event("kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047, hxfar 0x485cb000, pc 0x00000040001058")


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["import", *arguments])


def test_a_recording_is_sent_with_the_token_and_summed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, FAULT, event("kvm_entry: PC: 0x40001058", at=2.5))
    token = tmp_path / "token"
    token.write_text("secret\n")
    with serve() as server:
        assert command.run(parse(str(path), "--server", server.url, "--token-file", str(token))) == 0
        request = server.next_request()

    assert request.path == "/api/v1/ingest"
    assert request.headers["authorization"] == "Bearer secret"
    assert wire.decode(request.body).host.name == "import/trace"
    assert capsys.readouterr().out == f"{path}: 1 guest faults and 0 error exits in 1.500 s of trace\n"


def test_the_end_is_a_time_of_one_s_own(tmp_path: Path) -> None:
    path = write(tmp_path, FAULT)
    with serve() as server:
        command.run(parse(str(path), "--server", server.url, "--end", "2026-01-01T01:00:00+01:00"))
        sent = wire.decode(server.next_request().body)
    assert sent.covered[-1].to_ns == 1_767_225_600_000_000_000


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    path = write(tmp_path, FAULT)
    with serve(Reply(hang_up_after=10), Reply(503), Reply(500)) as server:
        assert command.run(parse(str(path), "--server", server.url)) == 0
        bodies = server.bodies(3)
    assert len(set(bodies)) == 1


@pytest.mark.parametrize(("status", "code"), [(400, "damaged"), (503, "unknown_version"), (503, "too_large")])
def test_a_server_that_refuses_is_said_to(tmp_path: Path, status: int, code: str) -> None:
    path = write(tmp_path, FAULT)
    body = b'{"detail": "no such thing", "code": "%s"}' % code.encode()
    answer = Reply(status, {"content-type": "application/problem+json"}, body)
    with (
        serve(answer) as server,
        pytest.raises(TraceError, match=f"refused the recording: {status} no such thing"),
    ):
        command.run(parse(str(path), "--server", server.url))


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_another_token_is_not_asked_again(tmp_path: Path, status: int) -> None:
    path, token = write(tmp_path, FAULT), tmp_path / "token"
    token.write_text("foreign")
    with serve(Reply(status)) as server, pytest.raises(TraceError, match="no --token-file was given"):
        command.run(parse(str(path), "--server", server.url))
    with serve(Reply(status)) as server, pytest.raises(TraceError, match="does not accept the token in"):
        command.run(parse(str(path), "--server", server.url, "--token-file", str(token)))


@pytest.mark.parametrize("contents", [None, "", "two words"])
def test_a_token_file_that_cannot_be_used_is_said_at_once(tmp_path: Path, contents: str | None) -> None:
    path, token = write(tmp_path, FAULT), tmp_path / "token"
    if contents is not None:
        token.write_text(contents)
    with serve() as server, pytest.raises(TraceError, match=r"^token file .* (cannot be read|hold a token)"):
        command.run(parse(str(path), "--server", server.url, "--token-file", str(token)))


def test_that_the_server_is_waited_for_is_said_once_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    with serve() as server:
        url = server.url
    uplink = Uplink(url)
    with pytest.raises(TraceError, match="the server took nothing"):
        command.send(uplink, b"", patience_s=0.3)
    uplink.close()
    (message,) = caplog.messages
    assert message.startswith("waiting for the server, at most 0.3 s: ")
    assert "Connection refused" in message


def test_a_server_that_is_away_is_not_waited_for_without_end() -> None:
    with serve() as server:
        url = server.url
    uplink = Uplink(url)
    with pytest.raises(TraceError, match=r"the server took nothing for 0\.3 s: .*Connection refused"):
        command.send(uplink, b"", patience_s=0.3)
    uplink.close()


def test_a_file_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = write(tmp_path, FAULT).rename(tmp_path / "good.txt")
    broken = write(tmp_path, "no event\n").rename(tmp_path / "broken.txt")
    missing = tmp_path / "missing.txt"
    with serve() as server:
        with pytest.raises(CollectorError, match="2 of 3 files were not imported, the others were"):
            command.run(parse(str(broken), str(missing), str(good), "--server", server.url))
        assert wire.decode(server.next_request().body).host.name == "import/good"
        assert server.requests.empty()
    assert [message.partition("txt")[0] for message in caplog.messages] == [
        f"not imported: {tmp_path}/broken.",
        f"not imported: cannot read {tmp_path}/missing.",
    ]


def test_a_file_that_cannot_be_read_is_named_where_the_server_is_away_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = write(tmp_path, FAULT).rename(tmp_path / "good.txt")
    broken = write(tmp_path, "no event\n").rename(tmp_path / "broken.txt")
    with serve(Reply(401)) as server, pytest.raises(TraceError, match="token"):
        command.run(parse(str(broken), str(good), "--server", server.url))
    assert [message.partition("txt")[0] for message in caplog.messages] == [
        f"not imported: {tmp_path}/broken."
    ]


def test_none_of_several_files_is_said_to_be_none(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.txt", "b.txt")]
    with serve() as server, pytest.raises(TraceError, match="none of the 2 files was imported"):
        command.run(parse(*files, "--server", server.url))


def test_a_file_that_the_server_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    files = [str(write(tmp_path, FAULT).rename(tmp_path / name)) for name in ("a.txt", "b.txt")]
    body = b'{"detail": "no such thing", "code": "damaged"}'
    damaged = Reply(400, {"content-type": "application/problem+json"}, body)
    with serve(damaged) as server:
        with pytest.raises(CollectorError, match="1 of 2 files were not imported"):
            command.run(parse(*files, "--server", server.url))
        assert [wire.decode(body).host.name for body in server.bodies(2)] == ["import/a", "import/b"]


def test_a_server_that_takes_no_file_is_not_asked_for_each(tmp_path: Path) -> None:
    files = [str(write(tmp_path, FAULT).rename(tmp_path / name)) for name in ("a.txt", "b.txt")]
    with serve(Reply(401), Reply(401)) as server:
        with pytest.raises(TraceError, match="token"):
            command.run(parse(*files, "--server", server.url))
        assert len(server.bodies(1)) == 1
        assert server.requests.empty()


def test_what_was_not_read_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, FAULT, "garbage\n", "CPU:0 [LOST 3 EVENTS]\n")
    with serve() as server:
        command.run(parse(str(path), "--server", server.url))
    assert caplog.messages == [
        f"line not read file={str(path)!r} line=2 text='garbage'",
        f"the recording lacks events file={str(path)!r} events=3",
    ]


def test_events_that_sound_like_faults_and_are_none_of_linux_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = [event(f"{name}: gpa 0x1000") for name in ("kvm_acme_fault", "kvm_rmp_fault", "kvm_acme_fault")]
    path = write(tmp_path, FAULT, *others)
    with serve() as server:
        command.run(parse(str(path), "--server", server.url))
    assert caplog.messages == [
        f"events not read: no event of Linux file={str(path)!r} event=kvm_acme_fault events=2"
    ]


def test_failed_runs_whose_errno_a_tool_left_out_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, FAULT, event("kvm_userspace_exit:   reason KVM_EXIT_UNKNOWN (0)"))
    with serve() as server:
        command.run(parse(str(path), "--server", server.url))
    (message,) = caplog.messages
    assert message.startswith("failed runs of KVM_RUN whose errno the text leaves out")
    assert message.endswith("exits=1")


def test_standard_input_is_a_recording(tmp_path: Path) -> None:
    path = write(tmp_path, FAULT)
    with serve() as server:
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            done = subprocess.run(
                [sys.executable, "-m", "collector", "import", "-", "--server", server.url],
                stdin=cat.stdout,
                capture_output=True,
                text=True,
                check=True,
            )
        sent = wire.decode(server.next_request().body)
    assert (sent.host.name, sent.host.state) == ("import/standard-input", "replay")
    assert done.stdout == "standard input: 1 guest faults and 0 error exits in 0.000 s of trace\n"


def test_several_files_are_hosts_and_streams_of_their_own(tmp_path: Path) -> None:
    first = write(tmp_path, FAULT).rename(tmp_path / "a.txt")
    second = write(tmp_path, FAULT, FAULT).rename(tmp_path / "b.txt")
    with serve() as server:
        command.run(parse(str(first), str(second), "--server", server.url))
        sent = [wire.decode(server.next_request().body) for _ in range(2)]
    assert [batch.host.name for batch in sent] == ["import/a", "import/b"]
    assert len({batch.stream for batch in sent}) == 2


def test_several_files_are_hosts_below_the_one_that_is_named(tmp_path: Path) -> None:
    first = write(tmp_path, FAULT).rename(tmp_path / "a.txt")
    second = write(tmp_path, FAULT).rename(tmp_path / "b.txt")
    with serve() as server:
        command.run(parse(str(first), str(second), "--server", server.url, "--host", "night"))
        sent = [wire.decode(server.next_request().body) for _ in range(2)]
        command.run(parse(str(first), "--server", server.url, "--host", "night"))
        alone = wire.decode(server.next_request().body)
    assert [batch.host.name for batch in (*sent, alone)] == ["night/a", "night/b", "night/a"]
    assert sent[0].stream == alone.stream


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["x/trace.txt", "y/trace.xz"], ["h/x-trace", "h/y-trace"]),
        (["trace.txt", "trace.txt.gz", "other"], ["h/trace", "h/trace-2", "h/other"]),
        (["x/a.txt", "y/b.txt"], ["h/a", "h/b"]),
        (["x-2.trace", "x.trace", "x.txt"], ["h/x-2", "h/x", "h/x-3"]),
        (["x.trace", "x.txt", "x-2.trace"], ["h/x", "h/x-2", "h/x-2-2"]),
        (["w" * 300 + "1", "w" * 300 + "2"], ["h/" + "w" * 253 + "…", "h/" + "w" * 251 + "…-2"]),
        (["a\u202eb.txt", "c"], ["h/a\ufffdb", "h/c"]),
    ],
    ids=["folders", "numbers", "apart", "number taken", "number taken later", "long", "what does not show"],
)
def test_hosts_of_files_that_are_called_alike_have_names_of_their_own(
    files: list[str], expected: list[str]
) -> None:
    assert names(files, "h") == expected


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("x86_64-6.18.15-cow.trace.txt.xz", "import/x86_64-6.18.15-cow"),
        ("trace.gz", "import/trace"),
        ("host.example.org", "import/host.example.org"),
        (".txt", "import/.txt"),
    ],
)
def test_a_host_is_named_after_its_file(tmp_path: Path, name: str, host: str) -> None:
    path = write(tmp_path, FAULT).rename(tmp_path / name)
    with serve() as server:
        command.run(parse(str(path), "--server", server.url))
        assert wire.decode(server.next_request().body).host.name == host


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--end", "yesterday"), "'yesterday' is not a time like"),
        (("--end", "2026-01-01T00:00:00"), "is not a time like"),
        (("--end", "1960-01-01T00:00:00Z"), "is not a time like"),
        (("--host", ""), "is not a name"),
        (("--host", "a\nb"), "is not a name"),
        (("--host", "a" * 193), "is not a name"),
        (("--format", "esr_el2"), "invalid choice"),
        (("--arch", "mips"), "invalid choice"),
    ],
)
def test_a_bad_option_is_refused_in_words(
    arguments: tuple[str, str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse("file", *arguments)
    assert error in capsys.readouterr().err
