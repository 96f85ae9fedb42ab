# SPDX-License-Identifier: Apache-2.0
"""Where kernels are kept, and what the emulated machines showed."""

import os
from pathlib import Path

import pytest

from tests.emulated import report
from tests.emulated.selftests import results
from tests.product import TOP


def pytest_configure(config: pytest.Config) -> None:
    config.stash[report.SESSIONS] = []
    config.stash[results.RESULTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for row, session in config.stash[report.SESSIONS]:
        terminalreporter.write_line(f"stock kernel: {report.summary(row, session)}")
    for result in config.stash[results.RESULTS]:
        terminalreporter.write_line(f"selftest: {results.summary(result)}")


@pytest.fixture(scope="session")
def kernels_folder() -> Path:
    """The folder of everything that is downloaded; what is there is used again."""
    return Path(os.environ.get("KVMFAULTS_KERNELS", TOP / ".kvmfaults" / "kernels"))
