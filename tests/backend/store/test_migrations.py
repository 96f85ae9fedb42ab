# SPDX-License-Identifier: Apache-2.0
"""Migrations make exactly the tables that the store expects, and can be taken back."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from backend.errors import SchemaError
from backend.query.findings import Code, find
from backend.store import open_store
from backend.store.contract.access import Refusal, Token
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps, TimeRange
from backend.store.contract.vms import VmFilter, VmSummary
from backend.store.sql.migrate import check_drift, downgrade, migrate
from backend.store.sql.tables import metadata
from faultmodel import arch
from faultmodel.kinds import EventKind, EventReason, HostState, RecordingLevel, TimesOf
from faultmodel.problem import ProblemCode
from faultmodel.record import COUNTERS, REASON_NOT_SHOWN, EventFacts, ExitKind, HostEvent, Span
from faultmodel.wire import BatchName
from tests import previous
from tests.backend.store.conftest import NewUrl
from tests.batches import (
    START_MS,
    START_NS,
    VM_ID,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

_CHECKOUT = Path(__file__).parents[3]


def _engine_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def _every_vm(store: Store) -> Sequence[VmSummary]:
    return store.vms(VmFilter(), TimeRange(), limit=1000, after=None)


def _tables(url: str) -> set[str]:
    engine = create_engine(_engine_url(url))
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_a_migrated_database_has_no_drift_from_the_tables(new_url: NewUrl) -> None:
    assert check_drift(new_url()) == []


def test_drift_is_found(new_url: NewUrl) -> None:
    url = new_url()
    engine = create_engine(_engine_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hosts ADD COLUMN colour TEXT")
    engine.dispose()

    (difference,) = check_drift(url)
    assert "colour" in difference


def test_sqlite_tables_are_made_word_for_word_as_the_store_sees_them(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(engine)
    engine.dispose()

    def statements(path: Path) -> dict[str, str]:
        database = sqlite3.connect(path)
        rows = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version'"
        ).fetchall()
        database.close()
        return {name: " ".join(str(sql).split()) for name, sql in rows if not name.startswith("sqlite_auto")}

    assert statements(migrated_sqlite) == statements(tmp_path / "made.db")


def test_a_migrated_database_passes_and_an_older_one_does_not(new_url: NewUrl) -> None:
    url = new_url()
    store = open_store(url)
    store.check_schema()

    downgrade(url, "base")
    with pytest.raises(SchemaError, match=r"no tables .* run: kvmfaults-server migrate"):
        store.check_schema()
    store.close()


def test_a_database_of_a_later_version_is_named_as_such(new_url: NewUrl) -> None:
    url = new_url()
    engine = create_engine(_engine_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    store = open_store(url)

    with pytest.raises(SchemaError, match=r"at revision 9999, .* a later version has migrated it"):
        store.check_schema()
    with pytest.raises(SchemaError, match=r"at revision 9999, .* a later version has migrated it, use that"):
        migrate(url)
    store.close()


def test_migrations_can_be_taken_back_and_made_again(new_url: NewUrl) -> None:
    url = new_url()
    downgrade(url, "base")
    assert _tables(url) == {"alembic_version"}

    migrate(url)
    assert _tables(url) == {*metadata.tables, "alembic_version"}


def test_migrating_again_keeps_what_is_stored(new_url: NewUrl) -> None:
    url = new_url()
    store = open_store(url)
    store.apply(make_batch(fault_counts=[fault_count(faults=3)]), START_NS)
    migrate(url)

    assert store.vm(VM_ID, TimeRange()).faults == 3
    store.close()


def test_faults_that_were_stored_before_nested_guests_were_counted_apart_are_kept(new_url: NewUrl) -> None:
    url = new_url()
    store = open_store(url)
    store.apply(
        make_batch(
            fault_counts=[fault_count(faults=3)],
            faults=[fault_record()],
            exits=[exit_record()],
            ledger=[ledger_entry(seen=3, recorded=1)],
        ),
        START_NS,
    )
    store.close()
    downgrade(url, "0003")
    migrate(url)

    store = open_store(url)
    (counted,) = store.syndromes(VM_ID, TimeRange())
    assert [counted.counters[name] for name in ("faults", "nested", "context_unknown")] == [3, 0, 0]
    (fault,) = store.faults(VM_ID, TimeRange(), limit=9, before=None)
    (exited,) = store.exits(None, None, TimeRange(), limit=9, before=None)
    assert (fault.record.nested, exited.record.nested) == (None, None)
    store.close()


def test_identity_by_host_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, (name, state) in enumerate([("a", "attached"), ("b", "attached"), ("a", "replay")]):
            counts = [fault_count(faults=10 + number)]
            assert store.apply(make_batch(host=make_host(name, state=state), fault_counts=counts), START_NS)
        before = {(vm.id, vm.host, vm.faults) for vm in _every_vm(store)}
    assert sorted(faults for _, _, faults in before) == [10, 11, 12]

    downgrade(url, "0004")
    engine = create_engine(_engine_url(url))
    with engine.connect() as connection:
        streams = connection.exec_driver_sql("SELECT stream FROM streams ORDER BY id").scalars().all()
        batches = connection.exec_driver_sql("SELECT count(*) FROM applied_batches").scalar()
    engine.dispose()
    assert len(set(streams)) == len(streams) == batches == 3

    migrate(url)
    with closing(open_store(url)) as store:
        assert {(vm.id, vm.host, vm.faults) for vm in _every_vm(store)} == before
        assert {host.name: host.state for host in store.hosts()} == {
            "a": "attached",
            "b": "attached",
            "a (recording)": "replay",
        }


def test_coverage_by_source_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    one, two = "1" * 32, "2" * 32
    spans = {one: (0, 4), two: (2, 6)}
    with closing(open_store(url)) as store:
        for number, (stream, ends) in enumerate(spans.items()):
            covered = tuple(Span(START_NS + at * 10**9, START_NS + (at + 1) * 10**9) for at in range(*ends))
            host = make_host(boot_id=f"boot-{number}")
            vms = [make_vm(f"{number:016x}")]
            waiting = make_batch(4, stream=stream, host=host, part=2, covered=(Span(7 * 10**17, 8 * 10**17),))
            assert store.apply(make_batch(stream=stream, host=host, covered=covered, vms=vms), START_NS)
            assert store.apply(waiting, START_NS)
        whole = store.coverage(None, TimeRange())
    assert [(span.from_ms - START_NS // 10**6, span.to_ms - START_NS // 10**6) for span in whole] == [
        (0, 6000)
    ]

    downgrade(url, "0006")
    engine = create_engine(_engine_url(url))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT from_ns, to_ns FROM coverage").all()
        waiting_rows = connection.exec_driver_sql("SELECT count(*) FROM waiting_coverage").scalar()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(START_NS, START_NS + 6 * 10**9)]
    assert waiting_rows == 2

    migrate(url)
    with closing(open_store(url)) as store:
        assert store.coverage(None, TimeRange()) == whole
        # Of which boot it was is forgotten: it is each one's.
        of_vms = store.vm_coverage([f"{number:016x}" for number in range(2)], TimeRange())
        for place in of_vms.place_of.values():
            assert [(span.from_ms, span.to_ms) for span in of_vms.spans[place]] == [
                (span.from_ms, span.to_ms) for span in whole
            ]
    assert check_drift(url) == []


def test_numbers_that_are_given_once_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, name in enumerate("abc"):
            batch = make_batch(
                host=make_host(name, boot_id=name),
                vms=[make_vm(f"{number:016x}")],
                fault_counts=[fault_count(f"{number:016x}", faults=number)],
                events=[HostEvent(time_ns=START_NS, kind=EventKind.ATTACHED)],
            )
            assert store.apply(batch, START_NS)
        before, version = _every_vm(store), store.version()
        events = store.host_events(None, TimeRange(), limit=9, before=None)

    for _ in range(2):
        downgrade(url, "0007")
        migrate(url)
        assert check_drift(url) == []
    with closing(open_store(url)) as store:
        assert (_every_vm(store), store.version()) == (before, version)
        assert store.host_events(None, TimeRange(), limit=9, before=None) == events
        store.remove_host("c")
        assert store.apply(make_batch(host=make_host("d"), stream="6" * 32), START_NS)
        assert max(store.version()) > max(version)


_BUDGET = EventFacts(used_ppm=21_000, granted_ppm=10_000)
_SPAN = EventFacts(from_ns=START_NS, to_ns=START_NS + 9 * 10**9, clock_set_s=-3)
_WHEN = "2027-01-15T08:00:00Z"
_SAID: list[tuple[dict[str, Any], tuple[str, int | None]]] = [
    # What an event is, and how the release before says it: in words, and with the number of one_in.
    (
        {
            "kind": EventKind.RECORDS,
            "level": RecordingLevel.NONE,
            "reason": EventReason.BUDGET,
            "facts": _BUDGET,
        },
        ("records: none (2.1% of a core used, 1% granted)", 0),
    ),
    (
        {"kind": EventKind.RECORDS, "level": RecordingLevel.SAMPLE, "facts": EventFacts(per_second=100)},
        ("records: a sample, at most 100 a second and VM", None),
    ),
    ({"kind": EventKind.RECORDS, "level": RecordingLevel.NONE}, ("records: none", 0)),
    (
        {
            "kind": EventKind.VM_RECORDS,
            "vm": VM_ID,
            "level": RecordingLevel.ALL,
            "reason": EventReason.ASKED_FOR,
        },
        ("records of a: none left: every fault", 1),
    ),
    (
        {
            "kind": EventKind.VM_RECORDS,
            "vm": VM_ID,
            "level": RecordingLevel.NONE,
            "reason": EventReason.NO_LONGER_ASKED_FOR,
        },
        ("records of a: none left: as of the others", 0),
    ),
    (
        {"kind": EventKind.ATTACHED, "reason": EventReason.NOT_PINNED, "detail": "no BPF file system"},
        ("counting ends with the collector: no BPF file system", None),
    ),
    (
        {"kind": EventKind.TAKEN_OVER, "reason": EventReason.COLLECTOR_AWAY},
        ("counting went on while no collector ran", None),
    ),
    (
        {"kind": EventKind.REPLACED, "reason": EventReason.UNREAD, "facts": EventFacts(from_ns=START_NS)},
        (
            "a set of programs that nobody read any more was removed; what it had counted since"
            f" {_WHEN} is lost",
            None,
        ),
    ),
    (
        {"kind": EventKind.REPLACED, "reason": EventReason.RENAMED, "facts": EventFacts(former_host="old")},
        ("counts from here on, and since the last batch before, have this host's name; it was 'old'", None),
    ),
    (
        {"kind": EventKind.ENDED_UNSEEN, "vm": VM_ID, "facts": _SPAN},
        (
            f"a: none left (process 4242) ended between {_WHEN} and 2027-01-15T08:00:09Z;"
            " the clock was set back by 3 s meanwhile",
            None,
        ),
    ),
    ({"kind": EventKind.ENDED_UNSEEN, "facts": EventFacts(count=7)}, ("so did 7 more", None)),
    ({"kind": EventKind.CLOCK_STEPPED, "facts": EventFacts(shift_s=30)}, ("times set back by 30 s", None)),
    (
        {"kind": EventKind.TIMES_MOVED, "facts": EventFacts(moved=(TimesOf.COUNTS, TimesOf.ENDS))},
        ("counts, ends of VMs", None),
    ),
    (
        {"kind": EventKind.SERVER_CLOCK_WAS_AHEAD, "facts": EventFacts(shift_s=9)},
        ("by 9 s; what was received then is set to now", None),
    ),
    ({"kind": EventKind.STOPPED}, ("", None)),
]


def test_events_keep_what_they_say_where_they_are_taken_back(new_url: NewUrl) -> None:
    url = new_url()
    events = [HostEvent(time_ns=START_NS + number, **fields) for number, (fields, _) in enumerate(_SAID)]
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(vms=[make_vm(name="a: none left")], events=events), START_NS)
        before = store.host_events(None, TimeRange(), limit=99, before=None)
    assert [row.event for row in reversed(before)] == events

    for revision in ("0011", "0007", "0011"):
        downgrade(url, revision)
        assert _rows(url, "SELECT detail, one_in FROM host_events ORDER BY time_ns") == [
            said for _, said in _SAID
        ]
        migrate(url)
        assert check_drift(url) == []
        with closing(open_store(url)) as store:
            assert store.host_events(None, TimeRange(), limit=99, before=None) == before

    downgrade(url, "base")
    assert _tables(url) <= {"alembic_version"}


def test_of_events_of_before_it_is_known_which_were_the_governors(new_url: NewUrl) -> None:
    url = new_url()
    steps = [
        (EventKind.ATTACHED, None),
        (EventKind.RECORDS, RecordingLevel.SAMPLE),
        (EventKind.RECORDS, RecordingLevel.NONE),
        (EventKind.VM_RECORDS, RecordingLevel.ALL),
        (EventKind.RECORDS, RecordingLevel.SAMPLE),
        # Another collector, which was started to record nothing.
        (EventKind.TAKEN_OVER, None),
        (EventKind.RECORDS, RecordingLevel.NONE),
    ]
    events = [
        HostEvent(time_ns=START_NS + number, kind=kind, level=level, detail="in words")
        for number, (kind, level) in enumerate(steps)
    ]
    with closing(open_store(url)) as store:
        for number, name in enumerate("ab"):
            batch = make_batch(host=make_host(name), stream=f"{number:032x}", events=events)
            assert store.apply(batch, START_NS)
    downgrade(url, "0011")
    # As the release before leaves them.
    _write(url, "DELETE FROM host_event_facts")
    migrate(url)

    with closing(open_store(url)) as store:
        rows = store.host_events("a", TimeRange(), limit=99, before=None)
    found = [(row.event.kind, row.event.level, row.event.reason) for row in reversed(rows)]
    budget = [EventReason.BUDGET if number in (2, 4) else None for number in range(len(steps))]
    assert found == [(*step, reason) for step, reason in zip(steps, budget, strict=True)]
    assert {row.event.detail for row in rows} == {"in words"}


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_a_weight_is_kept_under_either_name(new_url: NewUrl, arch_name: str) -> None:
    url, architecture = new_url(), arch.get(arch_name)
    record = fault_record(arch_name=arch_name, weight=16)
    host = make_host(arch=arch_name)
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(host=host, arch=arch_name, faults=[record]), START_NS)

    table = f"{architecture.table_prefix}_faults"
    for _ in range(2):
        downgrade(url, "0014")
        assert _rows(url, f"SELECT stands_for FROM {table}") == [(16,)]
        migrate(url)
        assert _rows(url, f"SELECT weight FROM {table}") == [(16,)]
        assert check_drift(url) == []


def _write(url: str, statement: str) -> None:
    engine = create_engine(_engine_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _rows(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(_engine_url(url))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(statement)]
    engine.dispose()
    return found


@pytest.mark.parametrize("since", ["0006", "0008"])
def test_what_an_earlier_release_stored_has_no_token(new_url: NewUrl, since: str) -> None:
    url, token = new_url(), "b" * 64
    with closing(open_store(url)) as store:
        store.apply(make_batch(fault_counts=[fault_count(faults=3)]), START_NS)
    downgrade(url, "0006")
    migrate(url)
    downgrade(url, since)
    migrate(url)
    with closing(open_store(url)) as store:
        # The stream goes on, and so does the VM in another stream.
        store.apply(make_batch(1, fault_counts=[fault_count()]), START_NS, token)
        store.apply(make_batch(stream="6" * 32, fault_counts=[fault_count()]), START_NS, token)
        new_vm = make_vm("00000000000000b2")
        store.apply(make_batch(1, stream="6" * 32, vms=[new_vm]), START_NS, token)
        store.apply(make_batch(stream="7" * 32, host=make_host("new"), vms=[make_vm()]), START_NS, token)
        found = store.brought(token)
        assert (found.hosts, found.shared_hosts) == (["new"], ["host-1"])
        assert found.shared_vms == [VM_ID]
        assert new_vm.id in found.vms
        assert store.tokens_that_brought("") == [token]


def test_refusals_by_stream_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    refused = [
        Refusal(
            token="a" * 64,
            code=ProblemCode.QUOTA,
            host="host-1",
            detail="too much",
            count=number + 1,
            first_ns=START_NS + number,
            last_ns=START_NS + number + 10,
            batch=BatchName("host-1", f"{number}" * 32, 7) if number else None,
        )
        for number in range(3)
    ]
    with closing(open_store(url)) as store:
        store.add_refusals(refused)
        assert store.refusals() == refused[::-1]
    downgrade(url, "0008")
    migrate(url)
    with closing(open_store(url)) as store:
        (kept,) = store.refusals()
        assert (kept.count, kept.first_ns, kept.last_ns, kept.batch) == (6, START_NS, START_NS + 12, None)
        assert (kept.host, kept.detail, kept.code) == ("host-1", "too much", ProblemCode.QUOTA)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; from backend.__main__ import main; "
        f"sys.exit(main(['migrate', '--database', 'sqlite:///{tmp_path}/kvmfaults.db']))"
    )
    # In a mount namespace of its own, which ends with it.
    script = 'mount -t tmpfs -o ro none "$0" && exec "$1" -c "$2"'
    command = ["unshare", "--mount", "sh", "-c", script, str(tmp_path), sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 2
    assert done.stderr.startswith(f"kvmfaults-server: folder {tmp_path} cannot be written")


def test_several_that_migrate_at_once_do_not_disturb_one_another(new_url: NewUrl) -> None:
    url = new_url()
    downgrade(url, "base")

    # Processes, as servers that start at once are: Alembic itself is not made for threads.
    command = [sys.executable, "-c", f"from backend.store.sql.migrate import migrate; migrate({url!r})"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]

    assert check_drift(url) == []


def test_a_store_whose_database_is_migrated_meanwhile_says_so(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(fault_counts=[fault_count()]), START_NS)
        # As by a version to come.
        _write(url, "ALTER TABLE hosts RENAME COLUMN detail TO words")
        _write(url, "ALTER TABLE fault_counts RENAME TO counts")
        with pytest.raises(SchemaError, match="migrated while this server ran, restart"):
            store.hosts()
        with pytest.raises(SchemaError, match="migrated while this server ran, restart"):
            store.apply(make_batch(1, fault_counts=[fault_count()] * 1000), START_NS)


_STORING = """
import sys
from backend.store import open_store
from tests.batches import START_NS, fault_count, make_batch, make_host, make_vm

url, host, vm = sys.argv[1:]
store = open_store(url)
described = make_host(host, arch="aarch64", boot_id=host)
for sequence in range(10**6):
    counts = [fault_count(vm, arch_name="aarch64", second=sequence % 50, word=sequence)]
    batch = make_batch(
        sequence, stream="0" * 16 + vm, host=described, arch="aarch64", vms=[make_vm(vm)], fault_counts=counts
    )
    try:
        store.apply(batch, START_NS + sequence)
    except Exception:
        break
    print(sequence + 1, flush=True)
"""


@pytest.mark.parametrize("database", ["postgresql"])
def test_a_database_is_migrated_while_a_server_of_before_stores(new_url: NewUrl, tmp_path: Path) -> None:
    url = new_url()
    tree = previous.unpack(tmp_path, previous.COUNTS_APART)
    newest = max(path.name for path in (tree / "migrations" / "versions").glob("0*.py"))[:4]
    downgrade(url, newest)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _STORING, url, f"host-{number}", f"{number:016x}"],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) == 20:
                    break
        migrate(url)
        # What it says that it has stored is there, once; then it finds other tables than its own.
        stored = [int([20, *process.stdout][-1]) for process in processes if process.stdout is not None]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    assert check_drift(url) == []
    with closing(open_store(url)) as store:
        assert sorted(vm.faults for vm in _every_vm(store)) == sorted(stored)


def test_an_installed_package_migrates_without_a_checkout(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    for package in ("backend", "faultmodel"):
        shutil.copytree(_CHECKOUT / package, installed / package)
    shutil.copytree(_CHECKOUT / "migrations", installed / "backend" / "migrations")
    url = f"sqlite:///{tmp_path / 'store.db'}"

    code = f"from backend.store.sql import migrate; migrate.migrate({url!r}); print(migrate.__file__)"
    environment = {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    assert Path(done.stdout.strip()).is_relative_to(installed)
    assert check_drift(url) == []


def test_who_brought_recordings_to_an_earlier_release_is_not_said_to_have_brought_nothing(
    new_url: NewUrl,
) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        # As an earlier release called them: exactly as the host of their token.
        store.apply(make_batch(host=make_host("import", state=HostState.REPLAY)), START_NS)
        for number, name in enumerate(("import", "node-1")):
            store.add_token(Token(f"{number:064x}", "ingest", name))
    downgrade(url, "0006")
    migrate(url)
    with closing(open_store(url)) as store:
        found = [(item.code, item.hosts) for item in find(store, START_NS)]
    assert found == [(Code.NEVER_DELIVERED, ["node-1"])]


def _every_count(store: Store) -> set[tuple[object, ...]]:
    """Return every fault count, by VM, second, vCPU, format and word."""
    steps = Steps(START_MS, START_MS + 60_000, 1000)
    split = Split(vm=True, vcpu=True, word=True)
    return {
        (point.vm, point.step_start_ms, point.vcpu, point.format, point.word, *point.counters.values())
        for point in store.fault_points(None, steps, split=split, counters=COUNTERS)
    }


def test_counts_of_one_table_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, name in enumerate(arch.architectures()):
            # Of one VM more than are copied at once.
            words = {f"{number:015x}1": range(1500), f"{number:015x}2": (0, 7, 2**63, 2**64 - 1)}
            counts = [
                fault_count(
                    vm_id,
                    arch_name=name,
                    second=second,
                    vcpu=word % 3,
                    word=word,
                    faults=second + 1,
                    nested=1,
                )
                for vm_id, of_vm in words.items()
                for second in (*range(9), 20)
                for word in of_vm
            ]
            host = make_host(name, arch=name)
            stream = f"{number:032x}"
            assert store.apply(make_batch(stream=stream, host=host, arch=name, fault_counts=counts), START_NS)
        unknown = [fault_count(word=0, format_name="none", prefetched=9)]
        assert store.apply(make_batch(stream="a" * 32, fault_counts=unknown), START_NS)
        before, vms = _every_count(store), _every_vm(store)
    assert len(before) == 3 * 10 * 1504 + 1
    progress: list[tuple[str, int, int]] = []

    downgrade(url, "0010", lambda *seen: progress.append(seen))
    names = {f"{prefix}_fault_counts" for prefix in ("x86", "arm64", "riscv")}
    assert names <= _tables(url)
    assert "fault_counts" not in _tables(url)
    assert {("counts of arm64", 2, 2), ("counts of riscv", 2, 2)} <= set(progress)

    progress.clear()
    migrate(url, lambda *seen: progress.append(seen))
    assert {("counts of arm64", 2, 2), ("counts of riscv", 2, 2)} <= set(progress)
    assert check_drift(url) == []
    with closing(open_store(url)) as store:
        assert (_every_count(store), _every_vm(store)) == (before, vms)
        # It goes on from there.
        assert store.apply(make_batch(1, fault_counts=[fault_count(faults=3)]), START_NS)


def test_exits_of_a_kind_that_was_named_otherwise_are_found_by_its_name(new_url: NewUrl) -> None:
    url = new_url()
    exits = [exit_record(), exit_record(kind=ExitKind.UNCLASSIFIED_ERROR, reason=REASON_NOT_SHOWN)]
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(exits=exits), START_NS)
    downgrade(url, "0015")
    assert _kinds(url) == {"memory_fault", "untold_error"}
    migrate(url)
    assert _kinds(url) == {"memory_fault", "unclassified_error"}
    with closing(open_store(url)) as store:
        (found,) = store.exits(None, ExitKind.UNCLASSIFIED_ERROR, TimeRange(), limit=2, before=None)
        assert found.record == exits[1]


def _kinds(url: str) -> set[str]:
    engine = create_engine(_engine_url(url))
    with engine.connect() as connection:
        kinds = set(connection.execute(text("SELECT kind FROM x86_exits")).scalars())
    engine.dispose()
    return kinds
