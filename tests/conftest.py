"""Says loudly how many real guests ran, and fails where none did although this machine can run them."""

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from collector.checks import State, examine

_ran: list[str] = []


@cache
def kernel_gap(cache_directory: Path) -> str:
    """Why no guest can be traced on this machine; empty where one can."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is missing or closed to this user"
    missing = [f for f in examine(cache_directory, attach=True) if f.state is State.MISSING]
    return "; ".join(f"{finding.name}: {finding.found}" for finding in missing)


@pytest.fixture(scope="session")
def headers_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the header tree of the running kernel is kept for the session."""
    return tmp_path_factory.mktemp("headers")


@pytest.fixture(autouse=True)
def _needs_kernel(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("kernel"):
        gap = kernel_gap(request.getfixturevalue("headers_cache"))
        if gap:
            pytest.skip(f"no guest can be traced here: {gap}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and "kernel" in report.keywords:
        _ran.append(report.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[_SELECTED] = sum(1 for item in items if item.get_closest_marker("kernel"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if config.stash.get(_SELECTED, 0) and not _ran and not config.option.collectonly:
        with tempfile.TemporaryDirectory() as directory:
            # They were skipped, or never reached, on a machine that can run them.
            if not kernel_gap(Path(directory)):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    selected = config.stash.get(_SELECTED, 0)
    terminalreporter.write_line(f"real-guest tests: {len(_ran)} of {selected} ran on this machine's KVM")


_SELECTED = pytest.StashKey[int]()
