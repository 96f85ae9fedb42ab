# SPDX-License-Identifier: Apache-2.0
"""Says loudly how many real guests ran, and fails where none did although this machine can run them.

Every property is tried for as long as it takes: how fast this machine is says nothing about what is tested.
"""

import fcntl
import gc
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from tests.tracing import kernel_gap

hypothesis.settings.register_profile("kvmfaults", deadline=None)
hypothesis.settings.load_profile("kvmfaults")

_GUESTS_LOCK = Path(tempfile.gettempdir()) / f"kvmfaults-guests-{os.getuid()}.lock"

_reached: list[str] = []
_ran: list[str] = []
_SELECTED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-guests",
        action="store_true",
        help="fail where this machine can trace real guests and none of their tests was selected",
    )


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let all collectors share what was compiled. ``script/test`` keeps it for the next run."""
    if "KVMFAULTS_CACHE_DIR" not in os.environ:
        os.environ["KVMFAULTS_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def headers_cache() -> Path:
    """Where the header tree of the running kernel is kept. Beside it is what was compiled."""
    return Path(os.environ["KVMFAULTS_CACHE_DIR"]) / "headers"


@pytest.fixture(autouse=True)
def _needs_kernel(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("kernel") and (gap := kernel_gap()):
        pytest.skip(f"no guest can be traced here: {gap}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Share the machine with guests of other test processes, or have it alone where the test is marked so.

    What is of no guest that is known, as an event that nothing can attribute, every collector there counts.
    """
    if item.get_closest_marker("kernel") is None:
        return (yield)
    with _GUESTS_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "kernel" not in report.keywords:
        return
    if report.when == "setup":
        _reached.append(report.nodeid)
    if report.when == "call" and not report.skipped:
        _ran.append(report.nodeid)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage meanwhile, and later not among the thousands of tests: a sixth of the CPU time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    # What ``-m`` and ``-k`` leave is known only now.
    guests = sum(1 for item in session.items if item.get_closest_marker("kernel"))
    session.config.stash[_SELECTED] = guests


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    option = session.config.option
    wanted = session.config.stash.get(_SELECTED, 0) or option.require_guests
    if wanted and not _ran and not option.collectonly and not kernel_gap():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # Where others run the tests, only what they reported is known here.
    selected = max(config.stash.get(_SELECTED, 0), len(_reached))
    terminalreporter.write_line(f"real-guest tests: {len(_ran)} of {selected} ran on this machine's KVM")
