# SPDX-License-Identifier: Apache-2.0
"""A guest that leaves KVM_RUN as fast as it can, in a process of its own.

    python -m bench.overhead.exits EXITS

Prints what it took as JSON, as ``bench.overhead.guest`` does. Between two exits the guest reads one page that
is mapped already, and takes no fault.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict

from bench.overhead.guest import Run
from demo import memory
from demo.host import machine_for_host
from demo.kvm import Kvm
from demo.machine import Op, Touch


def run(exits: int) -> Run:
    """Run a guest that leaves KVM_RUN so often, and wait for its end."""
    command = [sys.executable, "-m", "bench.overhead.exits", str(exits)]
    return Run(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def _main() -> None:
    exits = int(sys.argv[1])
    machine = machine_for_host([])
    vm = Kvm().create_vm()
    system = memory.anonymous(machine.system_pages)
    system.write(0, machine.system_image())
    vm.set_memory(slot=0, gpa=0, size=system.size, address=system.address)
    vcpu = vm.create_vcpu(0)
    machine.set_up(vm, vcpu)
    touch = Touch(Op.READ, 0, 1)
    wall_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    for _ in range(exits):
        machine.start(vcpu, touch)
        result = vcpu.run()
    wall_ns, cpu_ns = time.monotonic_ns() - wall_ns, time.process_time_ns() - cpu_ns
    if not machine.is_done(vcpu, result.exit_reason):
        sys.exit(f"the guest stopped with exit reason {result.exit_reason}")
    print(json.dumps(asdict(Run(exits, wall_ns, cpu_ns))))


if __name__ == "__main__":
    _main()
