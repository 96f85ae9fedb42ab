# SPDX-License-Identifier: Apache-2.0
"""Debian's Alertmanager for tests: on a port of its own, with a store that goes with it."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
_PROGRAM = "prometheus-alertmanager"
_ATTEMPTS = 5
_CONFIGURATION = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"


@dataclass(frozen=True)
class Alertmanager:
    """One that runs. ``url``: its address."""

    url: str

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that it takes for firing, by name."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=PATIENCE_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return sorted(found, key=lambda one: str(one["labels"]["alertname"]))


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """Run one until the end of the block."""
    program = shutil.which(_PROGRAM)
    assert program, f"{_PROGRAM} is not installed; script/test does"
    configuration = folder / "alertmanager.yml"
    configuration.write_text(_CONFIGURATION)
    for _ in range(_ATTEMPTS):
        port = free_port()
        with (folder / "alertmanager.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    program,
                    f"--config.file={configuration}",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            # Somebody else may have taken the port meanwhile.
            if _is_ready(process, f"http://127.0.0.1:{port}/-/ready"):
                yield Alertmanager(f"http://127.0.0.1:{port}")
                return
        finally:
            process.kill()
            process.wait()
    raise AssertionError((folder / "alertmanager.log").read_text())


def _is_ready(process: "subprocess.Popen[bytes]", url: str) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
