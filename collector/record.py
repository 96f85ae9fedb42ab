"""``kvmfaults-collector record``: has every fault of a VM recorded for a while."""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.private_files import check_data_directory
from collector.record_requests import Request, Requests
from collector.settings import requests_file, spool_directory
from collector.spool_lock import is_held

NS_PER_S = 1_000_000_000
_LONGEST_S = 86_400.0


def add_parser(commands: "argparse._SubParsersAction[Any]", data_dir: str) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "record",
        help="have the running collector record every fault of a VM for a while",
        description="The collector notices within a second. It stays within its budget: what it had to leave"
        " out is on the time line, as is the end of the recording.",
    )
    parser.add_argument("vm", metavar="VM", type=_vm, help="its name, UUID, id or process id")
    parser.add_argument(
        "--for", dest="seconds", type=_seconds, default=60.0, metavar="SECONDS", help="(%(default)g)"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=Path(data_dir), help="of the collector (%(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for it.

    :raises CollectorError: no collector runs there, or its directory cannot be written
    """
    now_ns = time.time_ns()
    request = Request(options.vm, now_ns + round(options.seconds * NS_PER_S))
    try:
        if options.data_dir.is_dir():
            check_data_directory(options.data_dir)
        if not is_held(spool_directory(options.data_dir) / "lock"):
            raise CollectorError(
                f"no collector is running with --data-dir {options.data_dir}: start it, or name the"
                " directory of the one that runs"
            )
        Requests(requests_file(options.data_dir)).add(request, now_ns)
    except OSError as exc:
        raise CollectorError(
            f"cannot write to {options.data_dir}: {exc.strerror}; name the collector's --data-dir"
        ) from exc
    sys.stdout.write(
        f"asked for every fault of {options.vm} for {options.seconds:g} s; what is granted within the budget,"
        " and from when, is on the time line\n"
        if options.seconds
        else f"asked for no more than a sample of {options.vm}\n"
    )
    return 0


def _vm(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("must be a VM's name, UUID, id or process id, as it is shown")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be 0 to {_LONGEST_S:g} seconds")
    return value
