# SPDX-License-Identifier: Apache-2.0
"""``python -m demo``: real KVM guests that fault on purpose.

Without a command it runs the demonstration; ``run`` does exactly what is asked for, once.
"""

import argparse
import logging
import math
import sys
from pathlib import Path

from demo.errors import DemoError
from demo.exact import ExactGuest, Order
from demo.programme import PROGRAMME
from demo.show import cases_named, perform, show
from faultmodel import console

_MAX_VCPUS = 16
_COMM_BYTES = 15  # TASK_COMM_LEN of include/linux/sched.h, without the NUL


def main() -> int:
    """Run the command line; the answer is the process's exit status."""
    return console.run(_main)


def _main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(format="demo: %(message)s")
    try:
        match arguments.command:
            case "run":
                return _run(arguments)
            case "case":
                return perform(cases_named([arguments.case])[0], truth=arguments.truth)
        if arguments.list:
            return _list()
        return show(cases_named(arguments.case), duration=arguments.duration, truth=arguments.truth)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Real KVM guests that fault on purpose."
    )
    parser.add_argument(
        "--duration", type=_seconds, metavar="S", help="end after so many seconds (default: never)"
    )
    parser.add_argument("--case", nargs="+", default=[], metavar="NAME", help="show these cases only")
    parser.add_argument("--list", action="store_true", help="list the cases and what each shows")
    parser.add_argument("--truth", action="store_true", help="print what each VM did as JSON at the end")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_run(commands.add_parser("run", help="do exactly this once, and print the truth about it as JSON"))
    one = commands.add_parser("case", help="be the process of one case, until standard input ends")
    one.add_argument("case", metavar="NAME")
    one.add_argument("--truth", action="store_true", help="print what each VM did as JSON at the end")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    for option, meaning in (
        ("--write", "write faults"),
        ("--read", "read faults"),
        ("--execute", "instruction fetch faults"),
        ("--memory-fault", "exits with KVM_EXIT_MEMORY_FAULT"),
        ("--bare-error", "failures of KVM_RUN with EFAULT and no annotated exit"),
    ):
        parser.add_argument(option, type=_count, default=0, metavar="N", help=meaning)
    parser.add_argument(
        "--vcpus", type=_vcpus, default=1, metavar="N", help="vCPUs that share the work (default 1)"
    )
    parser.add_argument(
        "--name",
        type=_name,
        default="demo-guest",
        help="of the process, 15 bytes at most (demo-guest)",
    )
    parser.add_argument("--hold", action="store_true", help="keep the VM until standard input ends")


def _list() -> int:
    for case in PROGRAMME:
        print(f"{case.name:14} {case.vmm:15} {case.summary}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    Path("/proc/self/comm").write_text(arguments.name)
    order = Order(
        write=arguments.write,
        read=arguments.read,
        execute=arguments.execute,
        memory_fault=arguments.memory_fault,
        bare_error=arguments.bare_error,
        vcpus=arguments.vcpus,
    )
    with ExactGuest(order) as guest:
        print(guest.follow(arguments.name).to_json(), flush=True)
        if arguments.hold:
            sys.stdin.read()
    return 0


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _vcpus(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_VCPUS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MAX_VCPUS}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _name(text: str) -> str:
    if not 1 <= len(text.encode()) <= _COMM_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of 1 to {_COMM_BYTES} bytes")
    return text


if __name__ == "__main__":
    sys.exit(main())
