# SPDX-License-Identifier: Apache-2.0
"""Answers are of one state: a batch that is stored while one is made is in it whole, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, event

from backend.query.findings import Code, find
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from faultmodel.kinds import EventKind, LossKind
from faultmodel.record import Cost, HostEvent, Loss, Span
from faultmodel.wire import Batch
from tests.backend.serving import Server, make_server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    exit_count,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

OTHER_VM = "00000000000000b2"
GRID = {"from": str(START_MS), "to": str(START_MS + 4000), "step": "1s"}
PATHS: list[tuple[str, dict[str, str]]] = [
    ("/api/v1/status", {}),
    ("/api/v1/vms", {"from": str(START_MS), "to": str(START_MS + 4000), "totals": "true"}),
    (
        "/api/v1/vms",
        {"from": str(START_MS), "to": str(START_MS + 4000), "sort": "name", "commands": "true"},
    ),
    ("/api/v1/vms", {}),
    (f"/api/v1/vms/{VM_ID}", {}),
    (f"/api/v1/vms/{VM_ID}/syndromes", {}),
    ("/api/v1/rates", GRID),
    ("/api/v1/rates", GRID | {"by": "flag"}),
    ("/api/v1/rates", GRID | {"vm": VM_ID, "by": "vcpu"}),
    ("/api/v1/ledger", GRID),
    ("/api/v1/overview", GRID),
]
AFTER = (1, 2, 3, 4, 6, 9, 13)
"""Numbers of statements of an answer after which the second batch is stored."""


def stored(sequence: int) -> Batch:
    """Return a batch that changes everything that an answer may have: counts, coverage, losses, costs."""
    start_ns = START_NS + sequence * NS_PER_S
    return make_batch(
        sequence,
        host=make_host(detail=f"batch {sequence}"),
        covered=(Span(start_ns, start_ns + NS_PER_S),),
        vms=[make_vm(), make_vm(OTHER_VM)] if sequence else [make_vm()],
        fault_counts=[fault_count(second=sequence, vcpu=sequence, faults=10 + sequence)],
        exit_counts=[exit_count(second=sequence, vcpu=sequence, count=2 + sequence)],
        ledger=[ledger_entry(second=sequence, seen=10 + sequence, seen_total=10 + 11 * sequence)],
        lost=[Loss(LossKind.KEYS_FULL, 1)],
        events=[HostEvent(time_ns=start_ns, kind=EventKind.RECORDS, one_in=1 + sequence)],
        # Within the last minute by the server's clock, which the status looks back for.
        costs=[
            Cost(
                from_ns=START_NS + (40 + sequence) * NS_PER_S,
                to_ns=START_NS + (41 + sequence) * NS_PER_S,
                cpu_ns=10**7 * (1 + sequence),
                resident_bytes=10**6 * (1 + sequence),
            )
        ],
    )


@pytest.fixture
def folder(migrated_file: Path, tmp_path: Path) -> Path:
    """Return a folder with a database that has one batch, and one that has two."""
    for name, batches in (("before", 1), ("after", 2)):
        shutil.copyfile(migrated_file, tmp_path / name)
        with closing(open_store(f"sqlite:///{tmp_path / name}")) as store:
            for sequence in range(batches):
                store.apply(stored(sequence), START_NS)
    return tmp_path


@contextmanager
def serving(path: Path) -> Iterator[Server]:
    """Yield a server with this database."""
    with closing(open_store(f"sqlite:///{path}")) as store:
        yield make_server(store)


def answer(server: Server, path: str, parameters: dict[str, str]) -> Any:
    """Return an answer without the name of its rates' version, which differs between processes."""
    found = server.get(path, **parameters)
    rates = found["rates"] if path == "/api/v1/overview" else found
    rates.pop("version", None)
    return found


@contextmanager
def storing_after(
    store: Store, number: int, batch: Batch | None = None, token: str = ""
) -> Iterator[list[int]]:
    """Store a batch, the second one where none is said, once ``number`` statements of the block have read.

    Yields a list that has one item for each of these.
    """
    read: list[int] = []

    def count(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        if not sql.lstrip().upper().startswith("SELECT") or len(read) >= number:
            return
        read.append(1)
        if len(read) == number:
            other = Thread(target=store.apply, args=(batch or stored(1), START_NS, token))
            other.start()
            other.join()

    event.listen(Engine, "after_cursor_execute", count)
    try:
        yield read
    finally:
        event.remove(Engine, "after_cursor_execute", count)


@pytest.mark.parametrize(("path", "parameters"), PATHS, ids=[f"{p} {q}" for p, q in PATHS])
def test_an_answer_is_of_one_state(folder: Path, path: str, parameters: dict[str, str]) -> None:
    with serving(folder / "before") as server:
        before = answer(server, path, parameters)
    with serving(folder / "after") as server:
        after = answer(server, path, parameters)
    assert before != after
    for number in AFTER:
        shutil.copyfile(folder / "before", folder / f"store-{number}")
        with serving(folder / f"store-{number}") as server:
            with storing_after(server.store, number) as read:
                found = answer(server, path, parameters)
            if len(read) < number:
                break
        assert found in (before, after), f"after statement {number}"
    assert number > 2


def test_findings_are_of_one_state(migrated_file: Path, tmp_path: Path) -> None:
    # Before: nothing of the host ever came. After: it did, and its clock is ahead.
    ahead_ns = START_NS + 100 * NS_PER_S
    ahead = make_batch(covered=(Span(ahead_ns, ahead_ns + NS_PER_S),), fault_counts=(), ledger=())
    token = Token("a" * 64, "ingest", "host-1")
    for number in AFTER:
        path = tmp_path / f"store-{number}"
        shutil.copyfile(migrated_file, path)
        with closing(open_store(f"sqlite:///{path}")) as store:
            store.add_token(token)
            with storing_after(store, number, ahead, token.sha256) as read:
                found = [item.code for item in find(store, START_NS)]
            assert found in ([Code.NEVER_DELIVERED], [Code.CLOCK_AHEAD]), f"after statement {number}"
            if len(read) < number:
                break
            assert [item.code for item in find(store, START_NS)] == [Code.CLOCK_AHEAD]
    assert number > 2
