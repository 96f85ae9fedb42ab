# SPDX-License-Identifier: Apache-2.0
"""What tracing costs on hosts, in steps of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend.errors import ParameterError
from backend.query.grid import MAX_VALUES
from backend.query.host_cost import Cost, cost_of
from backend.query.sources import Sources
from backend.query.uncovered import Uncovered, uncovered_of_hosts
from backend.store.contract.values import Steps

_AT_ONCE = 30_000
"""Costs that are read at once: some 10 MB."""


@dataclass(frozen=True, slots=True)
class HostCosts:
    """A host's cost in each step of a grid, None where no cost was reported."""

    host: str
    steps: Sequence[Cost | None]


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs by host.

    ``kept_from_ms``: where the grid begins before they are kept in such steps, from when on they are.
    """

    hosts: Sequence[HostCosts]
    kept_from_ms: int | None
    uncovered: Sequence[Uncovered]


def costs(sources: Sources, names: Sequence[str] | None, grid: Steps, now_ms: int) -> Costs:
    """Return the costs of hosts, or of every host that reported any in the grid's range, by name.

    :raises NotFoundError: there is no such host
    :raises ParameterError: the answer would be too large
    """
    store = sources.store

    def read(some: Sequence[str], steps: Steps) -> Iterator[tuple[str, int, Cost]]:
        # What is refused takes no memory before: which hosts have costs shows only as they are read.
        found, at_once = 0, max(1, _AT_ONCE // len(steps.starts_ms))
        for first in range(0, len(some), at_once):
            points = store.costs(some[first : first + at_once], steps)
            found += len(points)
            if found > MAX_VALUES:
                raise _too_many(len(some), grid)
            for point in points:
                yield point.host, point.step_start_ms, cost_of(point)

    if names is not None:
        _check_room(len(names), grid)
    with store.snapshot():
        levels = store.kept_levels(names)
        counted = levels.kept_steps(grid)
        owners = store.host_names() if names is None else names
        found_of = sources.costs.get(owners, counted, store.version(), read)
        uncovered = uncovered_of_hosts(store, names, grid.span, now_ms)
    by_host = {name: steps for name, steps in found_of.items() if steps or names is not None}
    _check_room(len(by_host), grid)
    found = [
        HostCosts(name, [steps.get(start) for start in grid.starts_ms])
        for name, steps in sorted(by_host.items())
    ]
    return Costs(found, None if counted == grid else levels.begins_ms(grid), uncovered)


def _check_room(hosts: int, grid: Steps) -> None:
    if hosts * len(grid.starts_ms) > MAX_VALUES:
        raise _too_many(hosts, grid)


def _too_many(hosts: int, grid: Steps) -> ParameterError:
    return ParameterError(
        "step", f"{hosts} hosts and {len(grid.starts_ms)} points; ask for longer steps, or fewer hosts"
    )
