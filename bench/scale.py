# SPDX-License-Identifier: Apache-2.0
"""How many hosts a server carries, and what is full where it carries no more.

Simulated collectors hand in a batch each second, each on a connection of its own that stays open, as real
ones do: all at the full second, not compressed, the next one once the last is acknowledged. Their number
rises step by step until batches no longer keep up with time: until the oldest that is not stored is older
than 2 s, or fewer than 95 of 100 are stored.

By default each host has 50 VMs, each of which faults in each second, with 2 words on each of 2 vCPUs, and has
10 of its faults recorded, as many as a collector records by default: 200 rows of fault counts, 500 records,
50 rows of exits and 50 of the ledger in a batch. That is a busy fleet. With ``--faulting 5`` five of the 50
VMs fault in a second, in turn, and only those are in its batch: idle guests fault seldom.

The database is PostgreSQL, as durable as a real one, on this machine, as is the load generator, whose share
is stated. Needs no KVM and no root.

    python -m bench.scale [--servers 3] [--clickhouse | --sqlite] [--hosts 25,50,75,100] [--seconds 15]
        [--vms 50] [--faulting 50] [--vcpus 2] [--words 2] [--records 10]
"""

import argparse
import asyncio
import os
import sys
import time

from bench.scaling import report
from bench.scaling.disk import sizes, stored_batches
from bench.scaling.hosts import HostBatches, Load
from bench.scaling.place import Place, made, served
from bench.scaling.steps import Step, run

HOSTS = "25,50,75,100,150,200,300,400"


def main() -> None:
    """Measure and print."""
    options = _options()
    load: Load = options.load
    loads = [os.getloadavg()[0]]
    _say(f"encoding batches of {max(options.hosts)} hosts")
    start_s = int(time.time())
    batches = [HostBatches(number, load, start_s) for number in range(max(options.hosts))]
    names = [one.name for one in batches]
    with made(names, sqlite=options.sqlite, clickhouse=options.clickhouse) as place:
        with served(place, options.servers) as running:
            steps = asyncio.run(_steps(running, batches, options))
        loads.append(os.getloadavg()[0])
        found, stored = sizes(place), stored_batches(place)
    for lines in (report.delays(steps), report.processors(steps), report.per_batch(steps)):
        print(*lines, "", sep="\n")
    print(*report.on_disk(found, stored), "", sep="\n")
    print(report.conclusion(steps, options.servers))
    print(f"{load}; load average {loads[0]:.1f} before it, {loads[1]:.1f} at its end.")


async def _steps(place: Place, batches: list[HostBatches], options: argparse.Namespace) -> list[Step]:
    steps = []
    async for step in run(place, batches, options.hosts, warm_s=options.warm, seconds=options.seconds):
        _say(f"{step.hosts} hosts: {step.stored} of {step.due} batches, oldest {step.waits_s:.1f} s")
        steps.append(step)
    return steps


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--clickhouse", action="store_true", help="counts and records in chdb; one server only"
    )
    where.add_argument("--sqlite", action="store_true", help="instead of PostgreSQL; one server only")
    parser.add_argument("--servers", type=_number, default=1, help="processes, each on a port (%(default)s)")
    parser.add_argument(
        "--hosts", type=_numbers, default=HOSTS, metavar="N,...", help="of each step (%(default)s)"
    )
    parser.add_argument("--seconds", type=_number, default=15, help="of each step (%(default)s)")
    parser.add_argument("--warm", type=_number, default=5, help="seconds before each step (%(default)s)")
    parser.add_argument("--vms", type=_number, default=50, help="of a host (%(default)s)")
    parser.add_argument("--faulting", type=_number, help="of its VMs in a second (all)")
    parser.add_argument("--vcpus", type=_number, default=2, help="of a VM that fault (%(default)s)")
    parser.add_argument("--words", type=_number, default=2, help="of a vCPU (%(default)s)")
    parser.add_argument("--records", type=_number, default=10, help="of a VM in a second (%(default)s)")
    options = parser.parse_args()
    if options.servers > 1 and (options.clickhouse or options.sqlite):
        parser.error("--servers needs PostgreSQL: chdb is one process's, and on SQLite one writes at a time")
    options.load = Load(
        vms=options.vms,
        faulting=options.faulting or options.vms,
        vcpus=options.vcpus,
        words=options.words,
        records=options.records,
    )
    if options.records > options.load.seen:
        parser.error(f"--records {options.records}: a VM has only {options.load.seen} faults in a second")
    return options


def _numbers(text: str) -> list[int]:
    return sorted(map(_number, text.split(",")))


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
