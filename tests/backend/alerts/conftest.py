# SPDX-License-Identifier: Apache-2.0
"""A server whose rules are judged."""

from pathlib import Path

import pytest

from tests.backend.alerts.rounds import Rounds
from tests.backend.serving import Server


@pytest.fixture
def rounds(server: Server, tmp_path: Path) -> Rounds:
    """Return a server at ``START_NS``, of which nothing is known."""
    found = Rounds(server, tmp_path / "rules.toml")
    found.silent(0)
    return found
