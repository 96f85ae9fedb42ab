# SPDX-License-Identifier: Apache-2.0
"""In which kernels which programs run."""

from dataclasses import dataclass

from tests.emulated.matrix import Row
from tests.emulated.selftests.programs import ARM64, PROGRAMS, X86, Program


@dataclass(frozen=True, slots=True)
class SelftestRow(Row):
    """A kernel; with ``protected`` its KVM is built anew, of its own source, to have SW_PROTECTED_VM."""

    protected: bool = False

    @property
    def name(self) -> str:
        """Its name among the tests."""
        return " ".join((self.series or "newest", *self.kvm_parameters, *["protected"] * self.protected))


ROWS = (
    SelftestRow(X86, "6.12", ("npt=0",)),
    SelftestRow(X86, "6.18+"),
    SelftestRow(X86, ""),
    SelftestRow(X86, "", protected=True),
    SelftestRow(ARM64, ""),
)


def programs_of(row: SelftestRow) -> list[Program]:
    """Return the programs that run in a row's kernel, in order."""
    return [program for program in PROGRAMS if program.runs_in(row.architecture, protected=row.protected)]
