# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that scrapes, and what it has."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.pipeline.nginx import free_port
from tests.product import wait_for

SCRAPED_S = 300.0
"""How long to wait for what comes in a second or two on a machine that does nothing else."""
_RANGE = "1h"
"""More than a test lasts."""


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression is now."""
        with urlopen(f"{self._url}/api/v1/query?{urlencode({'query': expression})}", timeout=60) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Return the one value of an expression, None where it has none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def wait_for_value(self, expression: str, value: float) -> None:
        """Wait until an expression has a value."""

        def look() -> bool | None:
            return self.value(expression) == value or None

        wait_for(look, SCRAPED_S, f"{expression} is {value:g} in Prometheus, not {self.value(expression)}")

    def check_increase(self, selector: str, first: float, last: float) -> None:
        """Check that a series never fell, and that its increase is what there is between two values of it.

        ``increase()`` reckons with what it does not see, as far as a tenth more than an interval at either
        end, or to where the series would have been 0.
        """
        ((_, samples),) = self._samples(selector)
        assert (samples[0], samples[-1]) == (first, last)
        assert self.value(f"resets({selector}[{_RANGE}])") == 0
        assert all(before <= after for before, after in pairwise(samples))
        increase = self.value(f"increase({selector}[{_RANGE}])")
        assert increase is not None
        most = (last - first) * (1 + 2.2 / (len(samples) - 1))
        assert last - first <= increase * 1.000001 <= most * 1.000002

    def _samples(self, selector: str) -> list[tuple[Mapping[str, str], Sequence[float]]]:
        found = self.query(f"{selector}[{_RANGE}]")
        return [(one["metric"], [float(value) for _, value in one["values"]]) for one in found]


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """Run Prometheus, which scrapes a target (``127.0.0.1:8470``) every 2 s, until the end of the block."""
    port = free_port()
    directory.mkdir()
    (directory / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: kvmfaults
    static_configs: [{{targets: ["{target}"]}}]
"""
    )
    command = [
        "prometheus",
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (directory / "log").open("wb") as log:
        try:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        except FileNotFoundError:
            pytest.fail("prometheus is not installed: script/test installs it")
    found = Prometheus(port)
    try:
        wait_for(lambda: _answers(found, process, directory), SCRAPED_S, "Prometheus answers")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(found: Prometheus, process: subprocess.Popen[bytes], directory: Path) -> bool | None:
    assert process.poll() is None, (directory / "log").read_text()
    try:
        found.query("1")
    except OSError:
        return None
    return True
