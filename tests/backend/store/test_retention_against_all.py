# SPDX-License-Identifier: Apache-2.0
"""Whatever is removed, every answer is that of a store that keeps all."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.query.blocks import Blocks
from backend.query.view import View
from backend.store import open_store
from backend.store.contract.series import FIGURES, KEYS, OWNER, Metric
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmFilter
from tests.backend.store.aging import ALL, DAY_S, HOUR_S, SHORT, claim, part, remove, save
from tests.backend.store.conftest import CLICKHOUSE, CLICKHOUSE_OVER_HTTP, NewStore
from tests.backend.store.everything import OF_HOSTS
from tests.backend.store.test_levels import ROLLED, STORED, TIMES, Scene, added, expected
from tests.batches import (
    START_S,
)

SAVED = st.tuples(st.just("save"), st.integers(0, 40 * 24))
REMOVED = st.tuples(st.just("remove"), st.integers(-2, 12))
PARTED = st.tuples(st.just("part"), st.integers(-2, 12))
ASKED = st.tuples(
    st.just("ask"), TIMES, st.sampled_from([1, 5, 10, 60, 90, 600, 3600, 7200]), st.sampled_from(Metric)
)
STEPS = st.lists(
    st.one_of(STORED, STORED, ROLLED, ROLLED, REMOVED, REMOVED, PARTED, SAVED, ASKED), min_size=4, max_size=20
)


def _figures(metric: Metric) -> Sequence[str]:
    # Of costs that came late, it is not known which seconds of a bucket were measured.
    return [name for name in FIGURES[metric] if name != "measured_seen"]


def owners_of(store: Store, metric: Metric) -> list[int]:
    """Return the numbers of a metric's owners, in an order that is the same in every store."""
    if metric in OF_HOSTS:
        return sorted(store.version())
    return [vm.number for vm in sorted(store.members(VmFilter(), ALL).vms, key=lambda vm: vm.id)]


def compare(store: Store, twin: Store, blocks: Blocks, from_s: int, step_s: int, metric: Metric) -> None:
    """Hold a metric, in steps and in all, against a store that keeps all, of what is kept."""
    from_s = from_s // step_s * step_s
    steps = Steps(from_s * 1000, (from_s + 40 * step_s) * 1000, step_s * 1000)
    by, figures = (OWNER, *KEYS[metric]), _figures(metric)
    every_second = Steps((START_S - 9001) * 1000, (START_S + 9001) * 1000, 1000)
    with store.snapshot(), twin.snapshot():
        of_twin = owners_of(twin, metric)
        # What the store counts of an owner is compared with what the twin does of the same one.
        owners = owners_of(store, metric)
        twin_of = dict(zip(owners, of_twin, strict=True))
        seconds = [
            (START_S - 9001 + second, *rest)
            for second, *rest in twin.series.points(metric, of_twin, every_second, by=by, figures=figures)
        ]
        levels = store.kept_levels()
        kept = levels.kept_steps(steps)
        found = (
            (step, twin_of[owner], *rest)
            for step, owner, *rest in store.series.points(metric, owners, kept, by=by, figures=figures)
        )
        assert added(metric, found, figures) == expected(metric, seconds, kept, figures)
        for span in map(levels.whole, (ALL, steps.span, TimeRange(from_ms=steps.from_ms))):
            rows = store.series.totals(metric, owners, span, by=by, figures=figures)
            whole = added(metric, ((0, twin_of[owner], *rest) for owner, *rest in rows), figures)
            assert whole == expected(metric, seconds, span, figures)
        if metric is not Metric.FAULTS:
            return
        span = levels.whole(steps.span)
        view = View(blocks, store.version(), (START_S + DAY_S) * 1000, levels)
        of_vms = view.total(None, (span.from_ms or 0) // 1000, (span.to_ms or 0) // 1000)
        faults: dict[int, int] = {}
        for key, value in expected(metric, seconds, span, figures).items():
            if key[-1] == "faults":
                faults[key[1]] = faults.get(key[1], 0) + int(str(value))
        counted = {twin_of[vm]: count for vm, count in of_vms.items() if count}
        assert counted == {vm: count for vm, count in faults.items() if count}


def hold(store: Store, migrated_sqlite: Path, folder: Path, steps: list[tuple[object, ...]]) -> None:
    """Take steps, and hold every answer against a store that keeps all."""
    other = f"sqlite:///{shutil.copy(migrated_sqlite, folder / 'twin.db')}"
    with closing(open_store(other)) as twin:
        scene, of_twin, blocks = Scene(store), Scene(twin), Blocks(store)
        assert store.claim_job(claim())
        store.set_ages(SHORT)
        for step in steps:
            match step:
                case "remove", int(hours):
                    remove(store, hours * HOUR_S)
                case "part", int(hours):
                    part(store, hours * HOUR_S)
                case "save", int(hours):
                    save(store, hours * HOUR_S)
                case "ask", int(time_s), int(step_s), Metric() as metric:
                    compare(store, twin, blocks, START_S + time_s, step_s, metric)
                case "store", _:
                    scene.take(step)
                    of_twin.take(step)
                case _:
                    scene.take(step)
        for _ in range(2):
            compare(store, twin, blocks, START_S - 7200, 10, Metric.FAULTS)
            for metric in Metric:
                compare(store, twin, blocks, START_S - 7200, 3600, metric)
            scene.roll(START_S + DAY_S)


def holding(databases: Sequence[str], examples: int) -> Callable[..., None]:
    """Return a test with stores on these databases, and so many examples."""

    @pytest.mark.parametrize("database", databases)
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(steps=STEPS)
    def test(
        new_store: NewStore,
        migrated_sqlite: Path,
        tmp_path_factory: pytest.TempPathFactory,
        steps: list[tuple[object, ...]],
    ) -> None:
        hold(new_store(), migrated_sqlite, tmp_path_factory.mktemp("twin"), steps)

    made: Callable[..., None] = test
    return made


SQL = ["sqlite", "postgresql"]
test_whatever_was_removed_every_answer_is_that_of_a_store_that_keeps_all = holding(SQL, 12)
test_so_it_is_in_clickhouse = holding([CLICKHOUSE], 4)
test_so_it_is_over_http = holding([CLICKHOUSE_OVER_HTTP], 2)
