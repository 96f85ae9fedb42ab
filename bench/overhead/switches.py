# SPDX-License-Identifier: Apache-2.0
"""Two threads on one CPU that wake each other and go to sleep, in a process of their own, and are no guest's.

    python -m bench.overhead.switches SWITCHES

Prints what they took as JSON, as ``bench.overhead.guest`` does.
"""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict

from bench.overhead.guest import Run


def run(switches: int) -> Run:
    """Let the threads take turns so often, and wait for their end."""
    command = [sys.executable, "-m", "bench.overhead.switches", str(switches)]
    return Run(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def _main() -> None:
    switches = int(sys.argv[1])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    there, back = os.pipe(), os.pipe()
    rounds = switches // 2

    def answer() -> None:
        for _ in range(rounds):
            os.write(back[1], os.read(there[0], 1))

    other = threading.Thread(target=answer)
    wall_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    other.start()
    for _ in range(rounds):
        os.write(there[1], b".")
        os.read(back[0], 1)
    other.join()
    wall_ns, cpu_ns = time.monotonic_ns() - wall_ns, time.process_time_ns() - cpu_ns
    print(json.dumps(asdict(Run(2 * rounds, wall_ns, cpu_ns))))


if __name__ == "__main__":
    _main()
