# SPDX-License-Identifier: Apache-2.0
"""Runs in an emulated machine as its only service: does what the host asks for, and says what came of it.

Requests and answers are files in /job, which the host has too, numbered from 1:

    1.request   {"arguments": [...], "log": "", "stop": 0}
    1.answer    {"status": 0, "output": "...", "error": "..."}

With ``log`` the command is started and left running, its output going to that file; the answer's status is
its process id. With ``stop`` the process of that id is asked to end; the answer's status is how it ended.
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

JOB = Path("/job")
CHECKOUT = Path("/checkout")
POLL_S = 0.05


def main() -> None:
    """Serve requests until the machine is switched off."""
    started: dict[int, subprocess.Popen[bytes]] = {}
    number = 0
    while True:
        number += 1
        request = json.loads(_await(JOB / f"{number}.request"))
        try:
            answer = _answer(request, started)
        except OSError as error:
            answer = {"status": -1, "output": "", "error": str(error)}
        _publish(f"{number}.answer", json.dumps(answer))


def _answer(request: dict[str, Any], started: dict[int, subprocess.Popen[bytes]]) -> dict[str, Any]:
    if request["stop"]:
        process = started.pop(request["stop"])
        process.terminate()
        return {"status": process.wait(), "output": "", "error": ""}
    arguments = request["arguments"]
    if request["log"]:
        with (JOB / request["log"]).open("ab") as log:
            process = subprocess.Popen(arguments, cwd=CHECKOUT, stdout=log, stderr=log)
        started[process.pid] = process
        return {"status": process.pid, "output": "", "error": ""}
    done = subprocess.run(arguments, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return {"status": done.returncode, "output": done.stdout, "error": done.stderr}


def _await(path: Path) -> str:
    while not path.exists():
        time.sleep(POLL_S)
    return path.read_text()


def _publish(name: str, text: str) -> None:
    """Make a file that whoever sees it can read whole."""
    unfinished = JOB / f"{name}.unfinished"
    unfinished.write_text(text)
    unfinished.rename(JOB / name)


if __name__ == "__main__":
    main()
