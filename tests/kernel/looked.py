# SPDX-License-Identifier: Apache-2.0
"""What looks at VMs, beside probes in this process."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from collector.counting.looking import Found, load_watchers
from collector.counting.reader import Reader
from collector.counting.watching import Watchers
from collector.probe.compiler_process import Terms
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import VmKey
from collector.probe.plan import make_plan
from collector.probe.probes import Probes
from tests.kernel.attached import attached, bytecode_of, own_vms, read


class Looked:
    """Probes that count, and all watchers."""

    def __init__(self, probes: Probes, watchers: Watchers) -> None:
        self.probes = probes
        self.watchers = watchers
        self._reader = Reader(probes)

    def rows(self, pids: Collection[int] | None = None) -> Mapping[str, Sequence[Any]]:
        """Take a reading; return the rows of these processes' VMs by section: this process's, or those given.

        A VM's id is its instance.
        """
        reading = read(self._reader, self.probes)
        vms = own_vms(reading)
        if pids is not None:
            vms = {vm for vm, record in reading.vms.items() if record.tgid in pids}
        # A collector knows the VMs of all exits; other guests of this machine may fail meanwhile.
        own = [record for record in reading.exits if VmKey(record.kvm, record.instance) in vms]
        return self.watchers.rows(replace(reading, exits=own), {vm: identity(vm) for vm in vms})

    def own(self) -> VmKey:
        """Return this process's VM."""
        (vm,) = own_vms(read(self._reader, self.probes))
        return vm


def identity(vm: VmKey) -> str:
    """Return the id under which ``Looked`` knows a VM."""
    return f"{vm.instance:016x}"


@contextmanager
def looked(headers_cache: Path) -> Iterator[Looked]:
    """Attach probes, and look."""
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    with attached(headers_cache) as probes, ExitStack() as stack:
        made: Future[Found] = Future()
        made.set_result(load_watchers(stack, probes, plan, headers, bytecode_of(headers_cache), Terms()))
        found = Looked(probes, Watchers(made))
        # As a collector does when it begins.
        found.rows()
        yield found
