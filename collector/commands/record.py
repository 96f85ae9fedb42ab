# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector record``: has every fault of a VM recorded for a while."""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

from collector.commands.record_follow import ANSWER_S, Signals, follow, interruptions
from collector.commands.record_report import is_whole, promise, report
from collector.errors import CollectorError
from collector.own_command import own_command
from collector.private_files import check_data_directory
from collector.probe.layout import RecordLevel
from collector.sampling.requests import NS_PER_S, Answer, RecordRequest, RecordRequests
from collector.settings import requests_file, spool_directory
from collector.spool.lock import is_held

NOT_EVERY_FAULT = 3
"""Exit status: what was asked for was not recorded completely, or it is not known whether it was."""
_LONGEST_S = 86_400.0
_LOOK_S = 0.05
_TAKEN_BACK = (
    "interrupted before the collector answered: what was asked for is taken back; whether anything of it was"
    " recorded until then is not known"
)


def add_parser(commands: "argparse._SubParsersAction[Any]", data_dir: str) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "record",
        help="have the running collector record every fault of a VM for a while",
        description="Wait until the time is over and say what was recorded; Ctrl-C ends it earlier,"
        " a second one at once. The collector stays within its budget: where that does not allow every fault,"
        " it records a sample or none.",
        epilog="Exit status: 0, every fault was recorded; 3, not every fault, or it is not known; 1, nothing"
        " is recorded. With --no-wait: 0, every fault is recorded from now on; 3, not every fault now.",
    )
    parser.add_argument("vm", metavar="VM", type=_vm, help="its name, UUID, id or process id")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long (%(default)g); 0 ends an earlier request",
    )
    parser.add_argument("--no-wait", action="store_true", help="return once it has begun")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(data_dir), help="of the collector (%(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask for it, and say what the collector answers; return the exit status.

    :raises CollectorError: no collector runs there, it knows no such VM or does not answer, or its directory
        cannot be written
    """
    try:
        if options.data_dir.is_dir():
            check_data_directory(options.data_dir)
        _require_collector(options.data_dir)
        requests = RecordRequests(requests_file(options.data_dir))
        return _ask(requests, options) if options.seconds else _end(requests, options.vm)
    except OSError as exc:
        raise CollectorError(
            f"cannot write to {options.data_dir}: {exc.strerror}; name the collector's --data-dir"
        ) from exc


def _ask(requests: RecordRequests, options: argparse.Namespace) -> int:
    now_ns = time.time_ns()
    # Who waits ends it, unless killed: the time begins with the first whole reading of the collector.
    waits_s = 0.0 if options.no_wait else 2 * ANSWER_S
    request = RecordRequest(options.vm, now_ns + round((options.seconds + waits_s) * NS_PER_S))
    with interruptions() as signals:
        requests.add(request, now_ns)
        answer = _wait(requests, request, options.data_dir, signals)
        if answer is None or not answer.granted:
            # Nothing was promised: it is not recorded later either.
            requests.end(request, time.time_ns())
            is_interrupted = answer is None and signals.number
            raise CollectorError(_TAKEN_BACK if is_interrupted else _refusal(options.vm, answer))
        if not signals.number:
            _say(promise(answer, options.seconds))
            if options.no_wait:
                return 0 if answer.level is RecordLevel.ALL else NOT_EVERY_FAULT
        answer, cut_short = follow(
            requests, request, answer, options.seconds, signals, lambda: _is_running(options.data_dir)
        )
    _say(report(answer, options.vm))
    if cut_short:
        _say(f"  {cut_short}\n")
    return 0 if is_whole(answer) and not cut_short else NOT_EVERY_FAULT


def _wait(
    requests: RecordRequests, request: RecordRequest, data_dir: Path, signals: Signals
) -> Answer | None:
    """Wait for an answer; an interruption ends that, and what was asked for."""
    ends_s = time.monotonic() + ANSWER_S
    while (answer := requests.answer_to(request)) is None and time.monotonic() < ends_s:
        _require_collector(data_dir)
        if signals.number:
            requests.end(request, time.time_ns())
            # It may have been granted just before.
            return requests.answer_to(request)
        time.sleep(_LOOK_S)
    return answer


def _refusal(vm: str, answer: Answer | None) -> str:
    if answer is None:
        return (
            f"the collector did not answer within {ANSWER_S:g} s: it may not be attached yet, see"
            f" {own_command('doctor')}"
        )
    near = f"; like it: {', '.join(map(repr, answer.near))}" if answer.near else ""
    return f"the collector knows no running VM {vm!r}, by name, UUID, id or process id{near}"


def _end(requests: RecordRequests, vm: str) -> int:
    if not requests.withdraw(vm, time.time_ns()):
        asked = ", ".join(repr(request.vm) for request in requests.active(time.time_ns()))
        raise CollectorError(f"nothing was asked for {vm!r}" + (f"; asked for is {asked}" if asked else ""))
    _say(f"no more than a sample of {vm} is recorded from now on\n")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    # Now, not when the time is over: it may be read through a pipe.
    sys.stdout.flush()


def _is_running(data_dir: Path) -> bool:
    return is_held(spool_directory(data_dir) / "lock")


def _require_collector(data_dir: Path) -> None:
    if not _is_running(data_dir):
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
