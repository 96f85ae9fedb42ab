# SPDX-License-Identifier: Apache-2.0
"""The API under a fuzzer that follows its description: on a server that needs tokens, with data in it."""

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import negative_data_rejection, not_a_server_error, positive_data_acceptance

from backend.app import create_app
from backend.auth import TokenKind
from backend.store import open_store
from faultmodel import wire
from faultmodel.kinds import EventKind, LossKind
from faultmodel.record import Cost, ExitKind, HostEvent, Loss
from tests.backend.serving import READ_S, SETTINGS, Clock, Server
from tests.batches import (
    START_NS,
    VM_ID,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    full_exit_record,
    make_batch,
)

EXAMPLES = 40
# A text may fit a parameter's pattern and be no date in the calendar, or no cursor that was ever given.
EXCLUDED = [positive_data_acceptance]
INGEST = "/api/v1/ingest"
# A body that is no batch's is answered with 503: see backend.api.ingest.
EXCLUDED_OF_INGEST = [*EXCLUDED, not_a_server_error]


class Fuzzed(NamedTuple):
    """A server, and the headers that show its tokens."""

    url: str
    read_token: dict[str, str]
    ingest_token: dict[str, str]


@pytest.fixture(scope="module")
def fuzzed(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """Yield a server that listens on loopback and behaves as if it could be reached from elsewhere."""
    path = tmp_path_factory.mktemp("fuzzed") / "kvmfaults.db"
    shutil.copyfile(migrated_file, path)
    with (
        closing(open_store(f"sqlite:///{path}")) as store,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        app = create_app(replace(SETTINGS, host="0.0.0.0"), store, now_ns=(clock := Clock()), read_s=READ_S)
        filled = Server(store, app, clock)
        filled.apply(
            make_batch(
                fault_counts=[fault_count(faults=5, private=2), fault_count(word=0, format_name="none")],
                exit_counts=[exit_count(), exit_count(reason=0)],
                exits=[full_exit_record(), exit_record(kind=ExitKind.BARE_ERROR)],
                faults=[fault_record(), fault_record(word=0, format_name="none")],
                lost=[Loss(LossKind.KEYS_FULL, 1)],
                events=[HostEvent(time_ns=START_NS, kind=EventKind.RECORDS, one_in=1)] * 2,
                costs=[Cost(from_ns=START_NS, to_ns=START_NS + 1, cpu_ns=1, resident_bytes=1, program_ns=1)],
            )
        )
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Fuzzed(url, filled.new_token(TokenKind.READ), filled.new_token(TokenKind.INGEST, "host-1"))
        server.should_exit = True
        thread.join()


def describe() -> schemathesis.BaseSchema:
    """Return the description without the streams, which have no end. No store is opened for it."""
    with closing(open_store("sqlite:///unused")) as store:
        server = Server(store, create_app(SETTINGS, store, read_s=READ_S), Clock())
        found = server.get("/api/v1/openapi.json")
    return schemathesis.openapi.from_dict(found).exclude(path=["/api/v1/events", "/api/v1/stream"])


schemathesis.serializer.alias(wire.CONTENT_TYPE, "application/octet-stream")
schema = describe()


def hold(case: "schemathesis.Case[Any]", fuzzed: Fuzzed) -> None:
    """Send a case, and hold the answer against the description."""
    is_ingest = case.path == INGEST
    token = fuzzed.ingest_token if is_ingest else fuzzed.read_token
    if case.path_parameters and "id" in case.path_parameters and len(str(case.path_parameters["id"])) == 16:
        # Half of the time the VM that is there.
        case.path_parameters["id"] = VM_ID
    excluded = EXCLUDED_OF_INGEST if is_ingest else EXCLUDED
    response = case.call(base_url=fuzzed.url, headers=token)
    if response.status_code == 413:
        # Refused for its size, before anybody looks at what is in it.
        excluded = [*excluded, negative_data_rejection]
    case.validate_response(response, headers=token, excluded_checks=excluded)
    assert response.status_code != 500


def fuzzing(method: str, path: str) -> Callable[..., None]:
    """Return the test of one operation."""

    @schema.include(method=method, path=path).parametrize()
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
    def test(case: "schemathesis.Case[Any]", fuzzed: Fuzzed) -> None:
        hold(case, fuzzed)

    return cast("Callable[..., None]", test)


# A function for each: all operations of one function have the same name, and of these pytest-xdist runs one.
for found in cast("Iterator[Any]", schema.get_all_operations()):
    one = found.ok()
    name = re.sub(r"\W+", "_", f"{one.method}{one.path}").strip("_").lower()
    globals()[f"test_the_api_keeps_its_description_of_{name}"] = fuzzing(one.method, one.path)
