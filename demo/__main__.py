"""``python -m demo``: guests that fault on purpose."""

import argparse
import sys
from pathlib import Path

from demo.errors import DemoError
from demo.exact import ExactGuest, Order


def main() -> int:
    """Run the command line; the answer is the process's exit status."""
    arguments = _parser().parse_args()
    try:
        return _run(arguments)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Real KVM guests that fault on purpose."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="do exactly this once, and print the truth about it as one line of JSON"
    )
    for option, meaning in (
        ("--write", "write faults"),
        ("--read", "read faults"),
        ("--execute", "instruction fetch faults"),
        ("--memory-fault", "exits with KVM_EXIT_MEMORY_FAULT"),
        ("--bare-error", "failures of KVM_RUN with EFAULT and no annotated exit"),
    ):
        run.add_argument(option, type=_count, default=0, metavar="N", help=meaning)
    run.add_argument(
        "--vcpus", type=_vcpus, default=1, metavar="N", help="vCPUs that share the work (default 1)"
    )
    run.add_argument(
        "--name", default="demo-guest", help="of the process, 15 bytes at most (default demo-guest)"
    )
    run.add_argument("--hold", action="store_true", help="keep the VM until standard input ends")
    return parser


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
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _vcpus(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 16:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 16")
    return number


if __name__ == "__main__":
    sys.exit(main())
