"""The command behind script/test-kernels."""

import argparse
import sys
import time

import pytest

from tests.emulated.document import DOCUMENT, text
from tests.emulated.report import SESSIONS
from tests.product import TOP


class _Writer:
    """Writes the document, once every test of the whole matrix has passed."""

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK:
            DOCUMENT.write_text(text(session.config.stash[SESSIONS]))
            print(f"\nwrote {DOCUMENT.relative_to(TOP)}")


def main() -> int:
    """Run the tests; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="script/test-kernels",
        description="Boot stock Debian kernels under software emulation and check the collector inside them.",
        epilog="All of them together write docs/kernels.md. Downloads are kept in KVMFAULTS_KERNELS.",
    )
    parser.add_argument("--quick", action="store_true", help="only the few that every test run has time for")
    parser.add_argument("-k", metavar="NAMES", default="", help="only these, as pytest's -k")
    options = parser.parse_args()
    began = time.monotonic()
    arguments = ["-p", "no:cacheprovider", "-q", str(TOP / "tests" / "emulated")]
    arguments += ["-m", "quick" if options.quick else "emulated", "-k", options.k]
    whole = not options.quick and not options.k
    status = pytest.main(arguments, plugins=[_Writer()] if whole else [])
    print(f"test-kernels: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
