# SPDX-License-Identifier: Apache-2.0
"""A thread may ask for long turns without any right."""

import subprocess
import sys

from tests.product import TOP

ASK = "from collector.counting.time_slices import ask_for_long_slices; print(ask_for_long_slices())"


def test_it_takes_no_capability() -> None:
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", ASK]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
