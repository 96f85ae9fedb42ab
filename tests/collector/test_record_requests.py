# SPDX-License-Identifier: Apache-2.0
"""What an operator asks to be recorded, through a file that may be anything."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.sampling.requests import Answer, RecordRequest, RecordRequests
from tests.batches import make_vm

VM = make_vm(pid=4242, name="guest", uuid="6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11")
SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.json"


@pytest.mark.parametrize("name", ["guest", "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11", VM.id, "4242"])
def test_a_vm_is_meant_by_its_name_uuid_id_or_pid(name: str) -> None:
    assert RecordRequest(name, 0).means(VM)


@pytest.mark.parametrize("name", ["gues", "guest2", "GUEST", "424", ""])
def test_no_other_is_meant(name: str) -> None:
    assert not RecordRequest(name, 0).means(VM)


def test_a_vm_without_a_name_is_not_meant_by_nothing() -> None:
    assert not RecordRequest("", 0).means(make_vm(name="", uuid=""))


def test_without_a_file_nothing_is_asked_for(path: Path) -> None:
    assert list(RecordRequests(path).active(0)) == []


def test_a_request_is_seen_by_a_running_collector_and_runs_out(path: Path) -> None:
    collector = RecordRequests(path)
    assert list(collector.active(0)) == []
    RecordRequests(path).add(RecordRequest("guest", 60 * SECOND), 0)
    assert list(collector.active(59 * SECOND)) == [RecordRequest("guest", 60 * SECOND)]
    assert list(collector.active(60 * SECOND)) == []


def test_another_request_for_the_same_vm_replaces_the_first(path: Path) -> None:
    RecordRequests(path).add(RecordRequest("guest", 60 * SECOND), 0)
    RecordRequests(path).add(RecordRequest("guest", 10 * SECOND), 0)
    assert list(RecordRequests(path).active(0)) == [RecordRequest("guest", 10 * SECOND)]


def test_requests_for_several_vms_stand_beside_each_other(path: Path) -> None:
    RecordRequests(path).add(RecordRequest("guest", 60 * SECOND), 0)
    RecordRequests(path).add(RecordRequest("other", 10 * SECOND), 0)
    assert {request.vm for request in RecordRequests(path).active(0)} == {"guest", "other"}


def test_what_ran_out_does_not_stay_in_the_file(path: Path) -> None:
    RecordRequests(path).add(RecordRequest("guest", 60 * SECOND), 0)
    RecordRequests(path).add(RecordRequest("other", 90 * SECOND), 70 * SECOND)
    assert [item["vm"] for item in json.loads(path.read_bytes())] == ["other"]


def test_a_file_that_is_replaced_within_one_tick_of_the_clock_is_read_anew(path: Path) -> None:
    collector = RecordRequests(path)
    RecordRequests(path).add(RecordRequest("guest", 60 * SECOND), 0)
    written = path.stat().st_mtime_ns
    assert [request.vm for request in collector.active(0)] == ["guest"]
    RecordRequests(path).add(RecordRequest("other", 60 * SECOND), 0)
    os.utime(path, ns=(written, written))
    assert {request.vm for request in collector.active(0)} == {"guest", "other"}


def test_a_file_that_is_deleted_asks_for_nothing(path: Path) -> None:
    collector = RecordRequests(path)
    collector.add(RecordRequest("guest", 60 * SECOND), 0)
    assert collector.active(0)
    path.unlink()
    assert list(collector.active(0)) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4096,
        b"[",
        b"{}",
        b'[{"vm": "guest"}]',
        b'[{"vm": 1, "until_ns": 1}]',
        b'[{"vm": "\xff\xfe", "until_ns": 1}]',
        b"[" * 100_000,
    ],
    ids=["empty", "zeros", "cut off", "object", "no time", "wrong type", "not UTF-8", "deep"],
)
def test_a_damaged_file_asks_for_nothing_and_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path.write_bytes(content)
    collector = RecordRequests(path)
    assert [list(collector.active(0)) for _ in range(3)] == [[], [], []]
    (logged,) = caplog.messages
    assert f"requests to record not read path={path}" in logged


@given(st.binary())
def test_no_content_harms_the_collector(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "requests.json"
    path.write_bytes(content)
    assert all(isinstance(request, RecordRequest) for request in RecordRequests(path).active(0))


def test_a_request_mends_a_damaged_file(path: Path) -> None:
    path.write_bytes(b"[")
    RecordRequests(path).add(RecordRequest("guest", 60 * SECOND), 0)
    assert [request.vm for request in RecordRequests(path).active(0)] == ["guest"]


def test_a_file_that_cannot_be_looked_at_asks_for_nothing_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    collector = RecordRequests(tmp_path / "file" / "requests.json")
    assert [list(collector.active(0)) for _ in range(3)] == [[], [], []]
    (logged,) = caplog.messages
    assert "Not a directory" in logged


def test_an_answer_that_somebody_removed_is_written_again(path: Path) -> None:
    request = RecordRequest("guest", 60 * SECOND)
    collector = RecordRequests(path)
    collector.answer([Answer(request)])
    path.with_suffix(".answers").unlink()
    collector.answer([Answer(request)])
    assert RecordRequests(path).answer_to(request) == Answer(request)


def test_an_answer_that_could_not_be_written_is_written_when_it_can_be_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = RecordRequest("guest", 60 * SECOND)
    path = tmp_path / "gone" / "requests.json"
    collector = RecordRequests(path)
    collector.answer([Answer(request)])
    collector.answer([Answer(request)])
    assert len(caplog.messages) == 1
    path.parent.mkdir()
    collector.answer([Answer(request)])
    assert RecordRequests(path).answer_to(request) == Answer(request)
