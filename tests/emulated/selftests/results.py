# SPDX-License-Identifier: Apache-2.0
"""What the runs have shown, for the summary of the tests and for docs/kernels.md."""

from dataclasses import dataclass

import pytest

from tests.emulated.kernels import Kernel
from tests.emulated.selftests.counted import differences
from tests.emulated.selftests.matrix import SelftestRow
from tests.emulated.selftests.programs import Program
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


_HEAD = ("run in", "program", "kernel", "VMs", "faults", "words", "exits", "failed runs")


def summary(result: Result) -> str:
    """Return a run in one line."""
    outcome = result.outcome
    numbers = ", ".join(f"{cell} {name}" for cell, name in zip(_cells(result)[3:], _HEAD[3:], strict=True))
    return (
        f"{result.kernel_said}: {result.program.title}: {numbers},"
        f" {'equal' if result.is_equal else 'DIFFERENT'}, status {outcome.status}, lost {outcome.lost or 0}"
    )


def lines_of(table: str) -> dict[tuple[str, ...], str]:
    """Return the lines of a table that ``table_of`` made, by where they ran and what."""
    found = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return {tuple(line.split(" | ")[:2]): line for line in found}


def table_of(lines: dict[tuple[str, ...], str]) -> str:
    """Return a table in Markdown of these lines."""
    if not lines:
        return ""
    head = [_line(_HEAD), _line(("---", "---", "---", *["--:"] * (len(_HEAD) - 3))).replace(" ", "")]
    return "".join(f"{line}\n" for line in (*head, *(lines[key] for key in sorted(lines))))


def with_results(lines: dict[tuple[str, ...], str], found: list[Result]) -> dict[tuple[str, ...], str]:
    """Return lines with those of these runs: of each that was equal; one that was not has none any more."""
    now = dict(lines)
    for result in found:
        line = _line(_cells(result))
        key = tuple(line.split(" | ")[:2])
        now.pop(key, None)
        if result.is_equal:
            now[key] = line
    return now


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(result: Result) -> tuple[str, ...]:
    outcome = result.outcome
    said = f"{result.kernel.release}, {result.flavour}"
    if outcome.refused:
        said += f" (not run: {outcome.refused})"
    elif outcome.status != 0:
        said += (
            " (stopped when its time was over)"
            if outcome.status is None
            else f" (fails there: {outcome.status})"
        )
    if outcome.shown.unrecorded:
        said += (
            f" ({outcome.shown.unrecorded:,} of the failed runs were counted, but not recorded one by one:"
            " reported as lost)"
        )
    numbers = (
        outcome.vms,
        outcome.kernel.faults,
        len(outcome.kernel.words),
        outcome.kernel.exits.total(),
        outcome.kernel.failures.total(),
    )
    row = f"{result.row.architecture} {result.row.name}"
    return (row, f"`{result.program.title}`", said.replace("|", "/"), *(f"{number:,}" for number in numbers))
