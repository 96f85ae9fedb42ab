"""``kvmfaults-collector record``: has every fault of a VM recorded for a while."""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.private_files import check_data_directory
from collector.record_requests import Answer, Granted, Request, Requests
from collector.settings import requests_file, spool_directory
from collector.spool_lock import is_held

NS_PER_S = 1_000_000_000
_LONGEST_S = 86_400.0
ANSWER_S = 30.0
"""A collector looks at least once a second; on a busy host it may be late."""
_LOOK_S = 0.05


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
    """Ask for it, and say what the collector answers.

    :raises CollectorError: no collector runs there, it knows no such VM or does not answer, or its directory
        cannot be written
    """
    try:
        if options.data_dir.is_dir():
            check_data_directory(options.data_dir)
        _require_collector(options.data_dir)
        requests = Requests(requests_file(options.data_dir))
        said = _ask(requests, options) if options.seconds else _end(requests, options.vm)
    except OSError as exc:
        raise CollectorError(
            f"cannot write to {options.data_dir}: {exc.strerror}; name the collector's --data-dir"
        ) from exc
    sys.stdout.write(said)
    return 0


def _ask(requests: Requests, options: argparse.Namespace) -> str:
    now_ns = time.time_ns()
    request = Request(options.vm, now_ns + round(options.seconds * NS_PER_S))
    requests.add(request, now_ns)
    answer = _wait(requests, request, options.data_dir)
    if answer is not None and answer.granted:
        return "".join(_granted(vm, options.seconds) for vm in answer.granted)
    # Nothing was promised: it is not recorded later either.
    requests.withdraw(options.vm, time.time_ns())
    if answer is None:
        raise CollectorError(
            f"the collector did not answer within {ANSWER_S:g} s: it may not be attached yet, see"
            " kvmfaults-collector doctor"
        )
    near = f"; like it: {', '.join(map(repr, answer.near))}" if answer.near else ""
    raise CollectorError(
        f"the collector knows no running VM {options.vm!r}, by name, UUID, id or process id{near}"
    )


def _wait(requests: Requests, request: Request, data_dir: Path) -> Answer | None:
    ends_s = time.monotonic() + ANSWER_S
    while (answer := requests.answer_to(request)) is None and time.monotonic() < ends_s:
        _require_collector(data_dir)
        time.sleep(_LOOK_S)
    return answer


def _granted(vm: Granted, seconds: float) -> str:
    named = f"{vm.name or 'a VM without a name'} (id {vm.id}, process {vm.pid})"
    if vm.is_full:
        return f"every fault of {named} is recorded for {seconds:g} s, as long as the budget allows\n"
    return (
        f"of {named} as many faults are recorded for {seconds:g} s as the budget allows, now not every one\n"
    )


def _end(requests: Requests, vm: str) -> str:
    if not requests.withdraw(vm, time.time_ns()):
        asked = ", ".join(repr(request.vm) for request in requests.active(time.time_ns()))
        raise CollectorError(f"nothing was asked for {vm!r}" + (f"; asked for is {asked}" if asked else ""))
    return f"no more than a sample of {vm} is recorded from now on\n"


def _require_collector(data_dir: Path) -> None:
    if not is_held(spool_directory(data_dir) / "lock"):
        raise CollectorError(
            f"no collector is running with --data-dir {data_dir}: start it, or name the directory of the one"
            " that runs"
        )


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
