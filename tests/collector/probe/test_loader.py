# SPDX-License-Identifier: Apache-2.0
"""Where BCC cannot be had, the doctor says so, whatever else has its name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import TOP


@pytest.mark.parametrize(
    ("package", "found"),
    [
        ("__version__ = '0.1'", "the Python package bcc is not BCC's"),
        ("import ctypes; ctypes.CDLL('libbcc.so.none')", "BCC is missing (libbcc.so.none: "),
        ("import bcc_is_not_here", "BCC is missing (No module named 'bcc_is_not_here')"),
    ],
    ids=["another package", "no library", "no module"],
)
def test_a_missing_bcc_is_reported_with_the_remedy(tmp_path: Path, package: str, found: str) -> None:
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text(package)
    path = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; "
    doctor = "from collector.__main__ import main; sys.exit(main(['doctor', '--json', '--no-attach']))"
    done = subprocess.run(
        [sys.executable, "-c", path + doctor], cwd=TOP, capture_output=True, text=True, check=False
    )
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert findings["bcc"]["state"] == "missing"
    assert findings["bcc"]["found"].startswith(found)
    assert "python3-bpfcc" in findings["bcc"]["remedy"]
    assert done.returncode != 0
