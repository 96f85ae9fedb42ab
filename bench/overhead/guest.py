# SPDX-License-Identifier: Apache-2.0
"""The guest, in a process of its own, so that none of ours holds up its vCPU.

    python -m bench.overhead.guest FAULTS

Prints what it took as JSON. ``cpu_ns`` is what the faults cost, whatever else runs on the machine;
``wall_ns`` is what the guest felt, and differs by what else ran.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from demo.exact import ExactGuest, Order


@dataclass(frozen=True, slots=True)
class Run:
    """What one guest took for all its faults, or for all its exits."""

    faults: int
    wall_ns: int
    cpu_ns: int


def run(faults: int) -> Run:
    """Run a guest that writes as many pages which it has not touched, and wait for its end."""
    command = [sys.executable, "-m", "bench.overhead.guest", str(faults)]
    return Run(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def _main() -> None:
    faults = int(sys.argv[1])
    with ExactGuest(Order(write=faults)) as guest:
        wall_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
        extra = guest.follow("bench").extra_faults
        wall_ns, cpu_ns = time.monotonic_ns() - wall_ns, time.process_time_ns() - cpu_ns
    done = faults + extra.read + extra.write + extra.execute
    print(json.dumps(asdict(Run(done, wall_ns, cpu_ns))))


if __name__ == "__main__":
    _main()
