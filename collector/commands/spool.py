# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector spool``: lists, explains and sends again what the server does not take."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.errors import CollectorError
from collector.own_command import own_command
from collector.private_files import check_data_directory
from collector.settings import spool_directory
from collector.spool import file as spool_file
from collector.spool.aside import Reason, ask_for, found_aside
from collector.spool.file import SpoolName
from collector.spool.lock import is_held
from collector.spool.peek import glance
from collector.spool.state import read_delivery
from faultmodel.problem import ProblemCode

_WHAT_TO_DO = {
    "": "something that is no kvmfaults server gives this answer: look at --server, and at proxies before it",
    ProblemCode.DAMAGED: "the server cannot read its bytes; keep the file for whoever looks into it, or send"
    " it again to a later version of the server",
    ProblemCode.UNKNOWN_VERSION: "upgrade the server",
    ProblemCode.TOO_LARGE: "let proxies before the server take bodies of 32 MiB",
    ProblemCode.WRONG_HOST: "give the collector the token of the host that --host names",
}


def add_parser(commands: "argparse._SubParsersAction[Any]", data_dir: str) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "spool",
        help="list, explain or send again the batches that the server does not take",
        description="A batch that the server does not take while it takes newer ones is put aside. It is kept"
        " within --spool-bytes and, unless its bytes are damaged, sent again from time to time.",
    )
    of = argparse.ArgumentParser(add_help=False)
    of.add_argument("--data-dir", type=Path, default=Path(data_dir), help="of the collector (%(default)s)")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", parents=[of], help="what waits and what is put aside, and why")
    listing.set_defaults(run=run_list)
    explain = actions.add_parser(
        "explain", parents=[of], help="what is in a batch that is put aside, and what to do"
    )
    explain.add_argument("number", type=_number, metavar="NUMBER", help="as spool list shows it")
    explain.set_defaults(run=run_explain)
    resend = actions.add_parser("resend", parents=[of], help="send batches again that are put aside")
    resend.add_argument("number", type=_number_or_all, metavar="NUMBER|all", help="as spool list shows it")
    resend.set_defaults(run=run_resend)


def run_list(options: argparse.Namespace) -> int:
    """List them.

    :raises CollectorError: the directory cannot be read
    """
    directory, found = _look(options)
    waiting = sum(1 for path in directory.iterdir() if SpoolName.read(path.name))
    delivery = read_delivery(directory)
    lines = [f"{_batches(waiting)} to be sent"]
    if delivery is not None and delivery.error:
        lines.append(f"since {_time(delivery.since_ns)} the server takes nothing: {delivery.error}")
    aside = []
    for number, path, reason in found:
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            continue  # It was sent again since it was looked for.
        aside.append(f"{number:>8}  {size:>9} bytes  since {_time(reason.since_ns)}  {reason.detail}")
    lines += [f"{_batches(len(aside))} put aside", *aside]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def run_explain(options: argparse.Namespace) -> int:
    """Explain one.

    :raises CollectorError: there is none of this number, or it cannot be read
    """
    _, found = _look(options)
    path, reason = _one(found, options.number, options.data_dir)
    try:
        file = spool_file.decode(path.read_bytes())
    except OSError as exc:
        raise CollectorError(f"cannot read {path}: {exc.strerror}") from exc
    seen = glance(file.batch) if file is not None else None
    lines = [f"batch {options.number}, put aside {_time(reason.since_ns)}", f"file      {path}"]
    if file is None:
        lines.append("content   its file is damaged: it will be counted as lost when its turn comes")
    elif seen is None:
        lines.append(f"content   {len(file.batch)} bytes that are no batch")
    else:
        lines += [
            f"host      {seen.host}",
            f"stream    {seen.stream}, number {seen.sequence}, wire version {seen.version}",
            f"covers    {_time(seen.from_ns)} to {_time(seen.to_ns)}" if seen.to_ns else "covers    no time",
            f"VMs       {seen.vms}",
        ]
    lines += [f"reason    {reason.detail}", f"to do     {_what_to_do(reason)}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def run_resend(options: argparse.Namespace) -> int:
    """Ask the collector to send one again, or all.

    :raises CollectorError: there is none of this number, or it cannot be asked for
    """
    directory, found = _look(options)
    if options.number is not None:
        _one(found, options.number, options.data_dir)
    numbers = [number for number, _, _ in found if options.number in (None, number)]
    try:
        for number in numbers:
            ask_for(directory, number)
        is_running = is_held(directory / "lock")
    except OSError as exc:
        raise CollectorError(f"cannot write to {directory}: {exc.strerror}") from exc
    when = "now" if is_running else "by the next collector: none is running with this --data-dir"
    sys.stdout.write(
        f"{_batches(len(numbers))} will be sent again {when}\n" if numbers else "no batch is put aside\n"
    )
    return 0


def _look(options: argparse.Namespace) -> tuple[Path, list[tuple[int, Path, Reason]]]:
    if options.data_dir.is_dir():
        check_data_directory(options.data_dir)
    directory = spool_directory(options.data_dir)
    try:
        return directory, list(found_aside(directory))
    except FileNotFoundError as exc:
        raise CollectorError(
            f"no collector has run with --data-dir {options.data_dir}: name the directory of the one that did"
        ) from exc
    except OSError as exc:
        raise CollectorError(f"cannot read {directory}: {exc.strerror}") from exc


def _one(found: list[tuple[int, Path, Reason]], number: int, data_dir: Path) -> tuple[Path, Reason]:
    for other, path, reason in found:
        if other == number:
            return path, reason
    shows = own_command("spool", "list", "--data-dir", data_dir)
    raise CollectorError(f"no batch {number} is put aside; {shows} shows which are")


def _what_to_do(reason: Reason) -> str:
    if reason.host:
        return f"run the collector with --host {reason.host} and a token of that host, until this is sent"
    return _WHAT_TO_DO.get(reason.code, "see what the server's log says")


def _batches(count: int) -> str:
    return "1 batch" if count == 1 else f"{count} batches"


def _time(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns // 10**9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise argparse.ArgumentTypeError("must be a number as spool list shows it")
    return int(text)


def _number_or_all(text: str) -> int | None:
    return None if text == "all" else _number(text)
