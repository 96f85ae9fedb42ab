# SPDX-License-Identifier: Apache-2.0
"""Guests that give the collector something to do, in processes of their own.

    python -m bench.cost.load busy | idle VMS | come-and-go VMS

``busy``: one guest whose two vCPUs fault as fast as they can. ``idle``: VMs that have faulted once, each in a
process of its own, as on a real host. Both go on until standard input ends. ``come-and-go``: as many VMs one
after the other, some hundred at a time. All print a line when they have begun, and at the end a number:
faults a second (busy), VMs a second (come-and-go).
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from demo.exact import ExactGuest, Order

_BUSY = Order(write=100_000, vcpus=2)
_IDLE = Order(write=1)
_AT_A_TIME = 200
_LIFE_S = 1.1
"""How long VMs that come and go live at least: the collector reads once while they do."""
_BEGUN = "begun"


@dataclass
class Load:
    """A load in another process. ``per_s`` is known once it has ended."""

    per_s: float = 0.0


@contextlib.contextmanager
def running(kind: str, *arguments: int) -> Iterator[Load]:
    """Run a load, from its beginning to the end of the context; one that ends by itself is waited for.

    :raises RuntimeError: it cannot run; it has said why
    """
    command = [sys.executable, "-m", "bench.cost.load", kind, *map(str, arguments)]
    load = Load()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != _BEGUN:
            raise RuntimeError(f"the load {kind!r} ended with code {process.wait()}")
        yield load
        process.stdin.close()
        load.per_s = float(process.stdout.read())


def _busy() -> float:
    faults, began = 0, time.monotonic()
    with ExactGuest(_BUSY) as guest:
        _begun()
        while not _is_over():
            guest.follow("busy")
            faults += _BUSY.write
    return faults / (time.monotonic() - began)


def _idle(vms: int) -> float:
    reading, writing = os.pipe()
    for _ in range(vms):
        if os.fork() == 0:
            with ExactGuest(_IDLE) as guest:
                guest.follow("idle")
                os.write(writing, b"x")
                # Every process has the same standard input; it ends for all of them.
                sys.stdin.read()
                os._exit(0)
    os.close(writing)
    there = 0
    while there < vms:
        there += len(_some(reading))
    _begun()
    for _ in range(vms):
        os.wait()
    return 0.0


def _come_and_go(vms: int) -> float:
    _begun()
    began = time.monotonic()
    for first in range(0, vms, _AT_A_TIME):
        with contextlib.ExitStack() as living:
            round_began = time.monotonic()
            for _ in range(min(_AT_A_TIME, vms - first)):
                living.enter_context(ExactGuest(_IDLE)).follow("come-and-go")
            time.sleep(max(0.0, round_began + _LIFE_S - time.monotonic()))
    return vms / (time.monotonic() - began)


def _some(reading: int) -> bytes:
    some = os.read(reading, 4096)
    if not some:
        sys.exit("a VM could not be made")
    return some


def _begun() -> None:
    print(_BEGUN, flush=True)


def _is_over() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _main() -> None:
    kind, *arguments = sys.argv[1:]
    if kind == "busy":
        per_s = _busy()
    elif kind == "idle":
        per_s = _idle(int(arguments[0]))
    else:
        per_s = _come_and_go(int(arguments[0]))
    print(per_s, flush=True)


if __name__ == "__main__":
    _main()
