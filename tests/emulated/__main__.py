# SPDX-License-Identifier: Apache-2.0
"""The command behind script/test-kernels."""

import argparse
import sys
import time

import pytest

from tests.emulated.document import DOCUMENT, text, with_selftests
from tests.emulated.report import SESSIONS
from tests.emulated.selftests.results import RESULTS
from tests.product import TOP


class _Writer:
    """Writes the document, once every test of the whole matrix has passed."""

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK:
            _write(text(session.config.stash[SESSIONS], DOCUMENT.read_text()))


class _SelftestsWriter:
    """Writes into the document of each selftest that ran, whether it was equal."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        _write(with_selftests(DOCUMENT.read_text(), session.config.stash[RESULTS]))


def _write(document: str) -> None:
    if document != DOCUMENT.read_text():
        DOCUMENT.write_text(document)
        print(f"\nwrote {DOCUMENT.relative_to(TOP)}")


def main() -> int:
    """Run the tests; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="script/test-kernels",
        description="Boot stock Debian kernels under software emulation and check the collector inside them.",
        epilog="All of them together write docs/kernels.md; selftests write their part of it."
        " Downloads are kept in KVMFAULTS_KERNELS.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="only the few that every test run has time for")
    which.add_argument(
        "--selftests",
        action="store_true",
        help="the kernel's own KVM selftests about memory instead, each held against the kernel's histograms;"
        " takes hours, and root to build them; for every night",
    )
    parser.add_argument("-k", metavar="NAMES", default="", help="only these, as pytest's -k")
    options = parser.parse_args()
    began = time.monotonic()
    arguments = ["-p", "no:cacheprovider", "-q", str(TOP / "tests" / "emulated")]
    marker = "quick" if options.quick else "selftests" if options.selftests else "emulated"
    arguments += ["-m", marker, "-k", options.k]
    plugins: list[object] = [_SelftestsWriter()] if options.selftests else []
    if marker == "emulated" and not options.k:
        plugins.append(_Writer())
    status = pytest.main(arguments, plugins=plugins)
    print(f"test-kernels: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
