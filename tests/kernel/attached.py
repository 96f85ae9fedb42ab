# SPDX-License-Identifier: Apache-2.0
"""The probes attached in this process, without server and spool: what the kernel's side alone gives."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.layout import VmKey
from collector.probe.loading import load
from collector.probe.plan import make_plan
from collector.probe.probes import Probes
from collector.probe.sides import Sides
from collector.probe.source import Limits, make_source


@contextmanager
def attached(
    headers_cache: Path, limits: Limits | None = None, sides: Sides = Sides.AS_NEEDED
) -> Iterator[Probes]:
    """Attach, and detach at the end."""
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    source = make_source(plan, limits)
    cache = bytecode_of(headers_cache)
    with Probes(load(plan, source, headers, sides=sides, cache=cache)) as probes:
        probes.attach(plan)
        probes.begin(source)
        yield probes


def skip_where_stalls_are_not_measured(headers_cache: Path) -> None:
    """Skip a test of what the programs measure on some flavours only."""
    plan = make_plan(read_facts(ensure_headers(headers_cache)))
    if plan.flavour.name != "pvm":
        pytest.skip(f"other events show where faults begin and end on {plan.flavour.name}")


def bytecode_of(headers_cache: Path) -> BytecodeCache:
    """What is compiled already, for tests that are not about compiling."""
    return BytecodeCache(headers_cache.with_name("bytecode"))


@contextmanager
def mounted_bpffs(folder: Path) -> Iterator[Path]:
    """Mount a BPF file system of the test's own, so that no running collector's pins are near."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def pinned(probes: Probes, directory: Path) -> Iterator[Path]:
    """Pin the probes in a BPF file system of the test's own; yield the folder."""
    with mounted_bpffs(directory / "bpf") as bpffs:
        probes.pin(bpffs / "set", 0)
        yield bpffs / "set"


def read(reader: Reader, probes: Probes) -> Reading:
    """Take a reading and note it, as the collector does once a batch is stored."""
    reading = reader.read()
    probes.commit(reading.checkpoint)
    return reading


def own_vms(reading: Reading) -> set[VmKey]:
    """The VMs of this process."""
    return {vm for vm, record in reading.vms.items() if record.tgid == os.getpid()}


def faults(reading: Reading, vms: set[VmKey]) -> int:
    """How many faults were counted for these VMs."""
    return sum(
        counters[0] for key, counters in reading.fault_counts.items() if VmKey(key.kvm, key.instance) in vms
    )


def exits(reading: Reading, vms: set[VmKey]) -> int:
    """How many exits were counted for these VMs."""
    return sum(count for key, count in reading.exit_counts.items() if VmKey(key.kvm, key.instance) in vms)
