# SPDX-License-Identifier: Apache-2.0
"""Migrations make exactly the tables that the store expects, and can be taken back."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from backend.errors import SchemaError
from backend.store import open_store
from backend.store.contract.values import TimeRange
from backend.store.sql.migrate import check_drift, downgrade, migrate
from backend.store.sql.revision import migrations_folder, revisions
from backend.store.sql.tables import metadata
from tests import previous
from tests.backend.store.conftest import NewUrl
from tests.backend.store.migrating import engine_url, every_vm, tables, write
from tests.batches import (
    START_NS,
    VM_ID,
    fault_count,
    make_batch,
)

_CHECKOUT = Path(__file__).parents[3]


def test_a_migrated_database_has_no_drift_from_the_tables(new_url: NewUrl) -> None:
    assert check_drift(new_url()) == []


def test_the_files_names_say_what_the_revisions_are() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert list(revisions()) == known


def test_drift_is_found(new_url: NewUrl) -> None:
    url = new_url()
    engine = create_engine(engine_url(url))
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
    engine = create_engine(engine_url(url))
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
    assert tables(url) == {"alembic_version"}

    migrate(url)
    assert tables(url) == {*metadata.tables, "alembic_version"}


def test_migrating_again_keeps_what_is_stored(new_url: NewUrl) -> None:
    url = new_url()
    store = open_store(url)
    store.apply(make_batch(fault_counts=[fault_count(faults=3)]), START_NS)
    migrate(url)

    assert store.vm(VM_ID, TimeRange()).faults == 3
    store.close()


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
        write(url, "ALTER TABLE hosts RENAME COLUMN detail TO words")
        write(url, "ALTER TABLE fault_counts_1s RENAME TO counts")
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
def test_a_database_is_migrated_while_a_server_of_an_earlier_release_stores(
    new_url: NewUrl, tmp_path: Path
) -> None:
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
        assert sorted(vm.faults for vm in every_vm(store)) == sorted(stored)


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
