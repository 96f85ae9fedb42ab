# SPDX-License-Identifier: Apache-2.0
"""Sums of what is counted of VMs, as several parts of a Store over any SQL database read them."""

from collections.abc import Iterator, Mapping, Sequence

from backend.store.contract.series import FIGURES, KEYS, OWNER, Metric, Row
from backend.store.contract.values import Steps, TimeRange
from backend.store.sql.catalog import vm_queries
from backend.store.sql.reads import SqlReads


class VmSums(SqlReads):
    """Sums of VMs that are chosen by their ids."""

    def _sums(
        self,
        metric: Metric,
        vm_ids: Sequence[str] | None,
        span: TimeRange,
        figures: Sequence[str] | None = None,
    ) -> Iterator[Row]:
        """Yield (id of a VM, *keys, *figures), all figures of the metric where none are named."""
        by, figures = (OWNER, *KEYS[metric]), FIGURES[metric] if figures is None else figures
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, vm_ids, span):
                for owner, *row in self.series.totals(metric, list(chosen), span, by=by, figures=figures):
                    yield chosen[owner][0], *row

    def _points(
        self,
        metric: Metric,
        vm_ids: Sequence[str] | None,
        steps: Steps,
        *,
        by: Sequence[str],
        figures: Sequence[str],
    ) -> Iterator[tuple[Mapping[int, tuple[str, str]], Row]]:
        """Yield the ids and architectures of some VMs by their numbers, and a row of theirs."""
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, vm_ids, steps.span):
                for row in self.series.points(metric, list(chosen), steps, by=by, figures=figures):
                    yield chosen, row
