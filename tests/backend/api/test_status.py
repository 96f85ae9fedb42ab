# SPDX-License-Identifier: Apache-2.0
"""Health, readiness and status."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.sql.migrate import migrate
from faultmodel.kinds import CheckState, HostState, LossKind, ProbeState
from faultmodel.record import Check, Loss, Probe
from tests.backend.serving import NOW_NS, Server, make_server
from tests.batches import make_batch, make_host

NS_PER_S = 10**9


@pytest.fixture
def expecting(store: Store) -> Server:
    """Return a server that expects a collector."""
    return make_server(store, expects_collector=True)


def test_a_server_that_answers_is_alive(server: Server) -> None:
    assert server.get("/healthz") == {"status": "ok"}


def test_without_a_collector_to_expect_a_migrated_database_is_enough(server: Server) -> None:
    assert server.get("/readyz") == {"status": "ready"}


def test_without_a_migrated_database_the_server_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    server = make_server(open_store(f"sqlite:///{tmp_path / 'empty.db'}"))
    status, detail = server.problem("/readyz")
    assert (status, detail) == (
        503,
        "the database has no tables of kvmfaults yet; run: kvmfaults-server migrate --database URL",
    )


def test_a_server_whose_database_a_later_version_migrates_says_so(tmp_path: Path) -> None:
    path = tmp_path / "migrated.db"
    migrate(f"sqlite:///{path}")
    server = make_server(open_store(f"sqlite:///{path}"))
    assert server.get("/readyz") == {"status": "ready"}
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "ALTER TABLE hosts RENAME COLUMN detail TO words; UPDATE alembic_version SET version_num = '9999'"
        )
    status, detail = server.problem("/api/v1/status")
    assert status == 503
    assert "was migrated while this server ran, restart the server" in detail
    status, detail = server.problem("/readyz")
    assert status == 503
    assert "a later version has migrated it" in detail


def test_a_server_that_expects_a_collector_waits_for_it(expecting: Server) -> None:
    assert expecting.problem("/readyz") == (503, "no collector has sent anything yet")
    expecting.apply(make_batch())
    assert expecting.get("/readyz") == {"status": "ready"}


def test_a_host_that_waits_says_for_what(expecting: Server) -> None:
    expecting.apply(make_batch(host=make_host(state=HostState.WAITING, detail="no BTF in /sys/kernel/btf")))
    assert expecting.problem("/readyz") == (503, "host host-1 is waiting: no BTF in /sys/kernel/btf")


def test_what_a_collector_of_an_earlier_release_lacks_is_shown_once(server: Server) -> None:
    said = "counting ends with the collector: no BPF file system"
    pins = Check(name="pins", state=CheckState.LACKING, found="no BPF file system")
    ends = Check(name="ends", state=CheckState.LACKING, found="kobject uevents: permission denied")
    # It says in a line what it lacks, its pins among that, but not that KVM's events do not come.
    server.apply(make_batch(host=make_host(detail=said, checks=(pins, ends))))
    (host,) = server.get("/api/v1/status")["hosts"]
    assert host["detail"] == f"{said}; kobject uevents: permission denied"


def test_one_attached_host_is_enough(expecting: Server) -> None:
    expecting.apply(
        make_batch(host=make_host(state=HostState.WAITING)),
        make_batch(host=make_host("host-2"), stream="6" * 32),
    )
    assert expecting.get("/readyz") == {"status": "ready"}


def test_a_host_that_fell_silent_is_not_attached_any_more(expecting: Server) -> None:
    expecting.apply(make_batch())
    expecting.clock.now_ns += 5 * NS_PER_S
    assert expecting.get("/readyz") == {"status": "ready"}
    expecting.clock.now_ns += NS_PER_S
    assert expecting.problem("/readyz") == (503, "host host-1 last sent a batch 6 s ago")


def test_status_describes_the_server_and_its_hosts(expecting: Server) -> None:
    expecting.apply(
        make_batch(
            host=make_host(
                probes=(Probe(tracepoint="kvm:kvm_page_fault", state=ProbeState.REFUSED, detail="EPERM"),)
            ),
            lost=[Loss(kind=LossKind.KEYS_FULL, count=2)],
        ),
        make_batch(
            1, lost=[Loss(kind=LossKind.KEYS_FULL, count=3), Loss(kind=LossKind.UNATTRIBUTED, count=1)]
        ),
    )
    expecting.clock.now_ns += 1_500_000_000
    status = expecting.get("/api/v1/status")
    assert status["database"] == "sqlite"
    assert (status["now"], status["started_at"]) == (
        "2027-01-15T08:01:01.500000000Z",
        "2027-01-15T08:01:00.000000000Z",
    )
    assert (status["expects_collector"], status["ready"], status["missing"]) == (True, True, "")
    (host,) = status["hosts"]
    assert host == {
        "name": "host-1",
        "arch": "x86_64",
        "boot_id": "8a6f0e2c-3f58-4a57-9f0e-6d7a5b1c2d3e",
        "kernel": "6.12.0",
        "flavour": "svm",
        "state": "attached",
        "detail": "",
        "collector_version": "0.1.0",
        "collector": None,
        "checks": [],
        "probes": [{"tracepoint": "kvm:kvm_page_fault", "state": "attached", "detail": ""}],
        "lost": {"keys_full": 5, "unattributed": 1},
        "last_batch": "2027-01-15T08:01:00.000000000Z",
        "age_s": 1.5,
        "covered_to": "2027-01-15T08:00:02.000000000Z",
        "clock_offset_s": -58.0,
        "recording": None,
        "cost": None,
        "is_covering": True,
    }


def test_status_says_what_is_missing(expecting: Server) -> None:
    status = expecting.get("/api/v1/status")
    assert (status["ready"], status["missing"]) == (False, "no collector has sent anything yet")


@pytest.mark.parametrize(
    ("state", "age_s", "covering"),
    [
        ("attached", 0, True),
        ("replay", 0, True),
        ("waiting", 0, False),
        ("stopped", 0, False),
        ("attached", 6, False),
    ],
)
def test_a_host_covers_while_it_is_attached_and_heard_of(
    server: Server, state: str, age_s: int, covering: bool
) -> None:
    server.apply(make_batch(host=make_host(state=state)))
    server.clock.now_ns = NOW_NS + age_s * NS_PER_S
    assert server.get("/api/v1/status")["hosts"][0]["is_covering"] is covering


def test_the_password_of_the_database_is_not_shown(store: Store) -> None:
    server = make_server(store, database="postgresql://user:secret@db/kvmfaults")
    status = server.request("GET", "/api/v1/status")
    assert status.json()["database"] == "postgresql"
    assert "secret" not in status.text
