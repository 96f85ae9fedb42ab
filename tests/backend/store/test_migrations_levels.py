# SPDX-License-Identifier: Apache-2.0
"""What the version before there were levels of history stored has the same totals, at every level."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.contract.levels import LENGTHS_S
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps
from backend.store.sql.migrate import check_drift, downgrade, migrate
from tests import previous
from tests.backend.store import before_levels
from tests.backend.store.before_levels import HOURS, answers, batches
from tests.backend.store.everything import CLAIM, RECEIVED_NS
from tests.batches import START_S
from tests.postgresql import PostgresqlServer

PER_LEVEL_S = START_S // 3600 * 3600


@pytest.fixture
def untouched(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database without tables."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'before.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    name = server.new_database()
    yield server.url(name)
    server.drop_database(name)


def at_level(store: Store, length_s: int) -> Counter[str]:
    """Return the faults of VMs as a level shows them."""
    steps = Steps(PER_LEVEL_S * 1000, (PER_LEVEL_S + (HOURS + 1) * 3600) * 1000, length_s * 1000)
    found: Counter[str] = Counter()
    for point in store.fault_points(None, steps, split=Split(vm=True), counters=("faults",)):
        found[str(point.vm)] += point.counters["faults"]
    return found


def test_a_database_of_before_has_the_same_totals(untouched: str, tmp_path: Path) -> None:
    tree = previous.unpack(tmp_path, previous.WITHOUT_LEVELS)
    done = subprocess.run(
        [sys.executable, before_levels.__file__, untouched],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        check=True,
    )
    before = json.loads(done.stdout)
    assert len(before["vms"]) == 12
    assert all(len(rows) > 80 for name, rows in before.items() if name not in ("vms", "vcpus", "reasons"))
    totals = {vm: faults for vm, _, faults, *_ in before["vms"]}

    migrate(untouched)
    assert check_drift(untouched) == []
    with closing(open_store(untouched)) as store:
        assert answers(store, lambda vm: [vm]) == before
        # Summed up to every level it is the same.
        assert store.claim_job(CLAIM)
        while store.roll_up(START_S + 10**5, CLAIM):
            pass
        assert not any(level.pending for level in store.storage().levels)
        assert answers(store, lambda vm: [vm]) == before
        for length_s in LENGTHS_S:
            assert at_level(store, length_s) == totals
        # It knows what it has, and goes on from there.
        for batch in batches():
            assert not store.apply(batch, RECEIVED_NS)

    # Taken back and brought up again, it has lost nothing.
    downgrade(untouched, "0016")
    migrate(untouched)
    with closing(open_store(untouched)) as store:
        assert answers(store, lambda vm: [vm]) == before
