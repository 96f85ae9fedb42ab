# SPDX-License-Identifier: Apache-2.0
"""The kernel's own KVM selftests about memory: the product counts what the kernel's histograms count.

Each raw word, each vCPU's total, each reason and errno, each outcome, and each failed KVM_RUN as the program
itself saw it. A run is not repeated because programs of the collector were skipped: that is counted, too.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulated.archive import Archive
from tests.emulated.matrix import Row, provide
from tests.emulated.selftests import results
from tests.emulated.selftests.counted import differences
from tests.emulated.selftests.kvm_module import with_protected_vms
from tests.emulated.selftests.matrix import ROWS, SelftestRow, programs_of
from tests.emulated.selftests.programs import X86, Program, ensure_programs
from tests.emulated.selftests.stand import Stand
from tests.emulated.selftests.workshop import Workshop, ensure_workshop

pytestmark = pytest.mark.selftests

_RUNS = [
    pytest.param(row, program, id=f"{row.architecture} {row.name}: {program.title}")
    for row in ROWS
    for program in programs_of(row)
]


@pytest.fixture(scope="session")
def workshop(kernels_folder: Path) -> Workshop:
    """With the headers of the newest kernel."""
    folder = kernels_folder / X86
    _, kernel = provide(Row(X86, ""), kernels_folder)
    return ensure_workshop(Archive(folder / "apt", "amd64"), folder, kernel.release)


@pytest.fixture(scope="module")
def stand(
    request: pytest.FixtureRequest,
    workshop: Workshop,
    kernels_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """A row's machine, for all of its programs."""
    row: SelftestRow = request.param
    platform, kernel = provide(row, kernels_folder)
    if row.protected:
        kernel = with_protected_vms(kernel, workshop, kernels_folder / row.architecture)
    programs = ensure_programs(workshop, kernels_folder / row.architecture, row.architecture)
    folder = tmp_path_factory.mktemp("selftests")
    with Stand(platform, kernel, programs, row.kvm_parameters, folder) as prepared:
        yield prepared


@pytest.mark.parametrize(("stand", "program"), _RUNS, indirect=["stand"], scope="module")
def test_everything_is_counted_as_the_kernel_counts_it(
    stand: Stand, program: Program, request: pytest.FixtureRequest
) -> None:
    outcome = stand.run(program)
    row = request.node.callspec.params["stand"]
    request.config.stash[results.RESULTS].append(
        results.Result(row, stand.kernel, stand.flavour, program, outcome)
    )
    different = differences(outcome.kernel, outcome.shown)
    assert not different, "\n".join(different)
    assert outcome.balanced
    if outcome.refused:
        pytest.skip(f"{stand.kernel.release} cannot run it: {outcome.refused}")
    if outcome.status == 0 and not outcome.kernel.exits:
        pytest.skip(f"{stand.kernel.release}: it runs no guest there")
    assert outcome.kernel.faults > 0
