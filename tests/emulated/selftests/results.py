"""What the runs have shown, for the summary of the tests and for docs/kernels.md."""

from dataclasses import dataclass

import pytest

from tests.emulated.kernels import Kernel
from tests.emulated.selftests.counted import differences
from tests.emulated.selftests.matrix import SelftestRow, programs_of
from tests.emulated.selftests.programs import PROGRAMS, Program
from tests.emulated.selftests.stand import Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """A run of a program in a row's kernel."""

    row: SelftestRow
    kernel: Kernel
    flavour: str
    program: Program
    outcome: Outcome

    @property
    def kernel_said(self) -> str:
        """What it ran in."""
        said = f"{self.row.architecture} {self.kernel.release}, {self.flavour}"
        return f"{said}, KVM built with SW_PROTECTED_VM" if self.row.protected else said

    @property
    def is_equal(self) -> bool:
        """Whether the product has what the kernel has."""
        return not differences(self.outcome.kernel, self.outcome.shown)


RESULTS = pytest.StashKey[list[Result]]()
"""Those of this test run, in their order."""


_HEAD = ("program", "VMs", "faults", "words", "exits", "failed runs")


def summary(result: Result) -> str:
    """Return a run in one line."""
    outcome = result.outcome
    return (
        f"{result.kernel_said}: {', '.join(_cells(result))} ({', '.join(_HEAD[1:])}),"
        f" {'equal' if result.is_equal else 'DIFFERENT'}, status {outcome.status}, lost {outcome.lost or 0}"
    )


def tables(found: list[Result]) -> dict[str, str]:
    """Return a table in Markdown of each row in which every program ran and all was equal, by its heading."""
    by_row: dict[SelftestRow, list[Result]] = {}
    for result in found:
        by_row.setdefault(result.row, []).append(result)
    return {
        f"{row.architecture} {row.name}": _table(of_row)
        for row, of_row in by_row.items()
        if all(result.is_equal for result in of_row)
        and {result.program for result in of_row} == set(programs_of(row))
    }


def _table(found: list[Result]) -> str:
    found = sorted(found, key=lambda result: PROGRAMS.index(result.program))
    lines = [_HEAD, ("---", *["--:"] * (len(_HEAD) - 1)), *map(_cells, found)]
    return f"{found[0].kernel_said}:\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(result: Result) -> tuple[str, ...]:
    outcome = result.outcome
    title = f"`{result.program.title}`"
    if outcome.refused:
        title += f" (not here: {outcome.refused})"
    elif outcome.status != 0:
        title += " (ended by us)" if outcome.status is None else f" (fails here: {outcome.status})"
    numbers = (
        outcome.vms,
        outcome.kernel.faults,
        len(outcome.kernel.words),
        outcome.kernel.exits.total(),
        outcome.kernel.failures.total(),
    )
    return (title, *(f"{number:,}" for number in numbers))
