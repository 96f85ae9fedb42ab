# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector import``: sends recorded traces to the server, each as a host of its own."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from collector.ship.answer import Verdict
from collector.ship.uplink import Uplink
from collector.trace.errors import NoServerError, TraceError
from collector.trace.hosts import DEFAULT, MOST_BELOW, names
from collector.trace.progress import Progress
from collector.trace.recording import ARCHITECTURES, Options, Recording, Report
from collector.trace.source import Source, name_of, opened
from collector.trace.survey import Survey, survey
from faultmodel import wire
from faultmodel.arch.x86 import ARCHITECTURE as X86
from faultmodel.problem import ProblemCode
from faultmodel.text import cut

logger = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""How long to try to send one batch."""
_OF_EVERY_FILE = frozenset((ProblemCode.UNKNOWN_VERSION, ProblemCode.WRONG_HOST))
_OF_THIS_FILE = frozenset((ProblemCode.TOO_LARGE,))
"""Codes after which nobody waits for another answer: the file is still there, to be imported again."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "import",
        help="send recorded traces to the server, each as a host of its own",
        description="Send recordings of KVM's tracepoints, of any machine, to the server: the text of "
        "ftrace's trace or trace_pipe, of trace-cmd report or of perf script, also gzip or xz. "
        "A recording that was sent before changes nothing.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a recording; - is standard input"
    )
    parser.add_argument(
        "--server",
        default=os.environ.get("KVMFAULTS_SERVER", "http://127.0.0.1:8470"),
        help="URL (%(default)s)",
    )
    token_file = os.environ.get("KVMFAULTS_TOKEN_FILE")
    parser.add_argument(
        "--token-file",
        type=Path,
        default=Path(token_file) if token_file else None,
        help="holds an ingest token of HOST",
    )
    parser.add_argument("--ca-file", type=Path, help="certificates to trust")
    parser.add_argument(
        "--host", type=_host, default=DEFAULT, help="each recording is the host HOST/FILE (%(default)s/FILE)"
    )
    parser.add_argument(
        "--end",
        type=_time_ns,
        help="when the recordings end, in RFC 3339 (now); dashboards show the past minutes",
    )
    parser.add_argument(
        "--arch", choices=ARCHITECTURES, help="of recordings without an event that shows the architecture"
    )
    parser.add_argument(
        "--format",
        choices=tuple(X86.formats),
        help="x86: of words whose kvm_exit is not recorded: ept (Intel), npf (AMD), pferr (shadow paging)",
    )


def run(options: argparse.Namespace) -> int:
    """Send every file; return 0 once the server has all of them, 130 where the user interrupts.

    :raises CollectorError: a file cannot be imported; of several, those that can be are
    """
    end_ns = options.end if options.end is not None else time.time_ns()
    uplink = Uplink(options.server, token_file=options.token_file, ca_file=options.ca_file)
    try:
        with ExitStack() as files:
            _import(files, uplink, options, end_ns)
    except KeyboardInterrupt:
        return 130
    finally:
        uplink.close()
    return 0


def _import(files: ExitStack, uplink: Uplink, options: argparse.Namespace, end_ns: int) -> None:
    count, failed, prepared = len(options.files), 0, []
    hosts = names([name_of(path) for path in options.files], options.host)
    # All are looked through before the first is sent: a mistake is reported before the import is half done.
    for path, host in zip(options.files, hosts, strict=True):
        with _failure_reported(count) as failure:
            prepared.append(_prepare(files.enter_context(opened(path)), host, options, end_ns))
        failed += bool(failure)
    for one in prepared:
        with _failure_reported(count) as failure:
            _send_all(uplink, one)
            _report(one.survey, one.recording.report)
        failed += bool(failure)
    if failed == count:
        raise TraceError(f"none of the {count} files was imported")
    if failed:
        raise TraceError(f"{failed} of {count} files were not imported, the others were")


@contextmanager
def _failure_reported(count: int) -> Iterator[list[TraceError]]:
    """Log what is wrong with one of several files, at once: the server may not be there for the next.

    :param count: how many files there are; what is wrong with the only one is raised
    """
    failure: list[TraceError] = []
    try:
        yield failure
    except TraceError as exc:
        if count == 1 or isinstance(exc, NoServerError):
            raise
        logger.error("not imported: %s", exc)
        failure.append(exc)


def send(uplink: Uplink, batch: bytes, *, patience_s: float = PATIENCE_S) -> None:
    """Send a batch until the server has it.

    :raises TraceError: the server refuses it
    :raises NoServerError: the server refuses the token, or takes nothing for ``patience_s``
    """
    deadline = time.monotonic() + patience_s
    for pause_s in _pauses():
        answer = uplink.send(batch)
        if answer.verdict is Verdict.ACCEPTED:
            return
        if answer.verdict is Verdict.REFUSED or answer.code in _OF_THIS_FILE:
            raise TraceError(f"the server refused the recording: {answer.detail}")
        if answer.code in _OF_EVERY_FILE:
            raise NoServerError(f"the server refused the recording: {answer.detail}")
        if answer.is_unauthorized or answer.is_unsent:
            raise NoServerError(answer.detail)
        if pause_s == _FIRST_PAUSE_S:
            logger.warning("waiting for the server, at most %g s: %s", patience_s, answer.detail)
        if time.monotonic() >= deadline:
            raise NoServerError(f"the server took nothing for {patience_s:g} s: {answer.detail}")
        time.sleep(min(max(pause_s, answer.pause_s), max(0.0, deadline - time.monotonic())))


@dataclass(frozen=True, slots=True)
class _Prepared:
    survey: Survey
    recording: Recording


def _prepare(source: Source, host: str, options: argparse.Namespace, end_ns: int) -> _Prepared:
    with _progress(source, "looked through") as see_bytes:
        found = survey(source, see_bytes)
    about = Options(host=host, below=options.host, end_ns=end_ns, arch=options.arch, format=options.format)
    return _Prepared(found, Recording(found, about))


def _send_all(uplink: Uplink, prepared: _Prepared) -> None:
    with _progress(prepared.survey.source, "sent") as see_bytes:
        for batch in prepared.recording.batches(see_bytes):
            send(uplink, wire.encode(batch))


@contextmanager
def _progress(source: Source, done: str) -> Iterator[Callable[[int], None]]:
    progress = Progress(sys.stderr, f"{cut(source.name, 256)}: {done}", source.size_bytes)
    try:
        yield progress.see_bytes
    finally:
        progress.end()


def _pauses() -> Iterator[float]:
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)


def _report(found: Survey, report: Report) -> None:
    name = cut(found.source.name, 1024)
    seconds = (found.last_ns - found.first_ns) / 1e9
    sys.stdout.write(
        f"{name}: {report.faults} guest faults and {report.exits} error exits in {seconds:.3f} s of trace\n"
    )
    for line in report.unreadable:
        logger.warning("line not read file=%r line=%d text=%r", name, line.number, cut(line.text, 120))
    if report.unreadable_lines > len(report.unreadable):
        logger.warning("lines not read file=%r lines=%d", name, report.unreadable_lines)
    if report.lost_events:
        logger.warning("the recording lacks events file=%r events=%d", name, report.lost_events)
    for event, number in found.other_faults.items():
        # Of a vendor's kernel, or of a module: what its text means is not known.
        logger.warning("events not read: no event of Linux file=%r event=%s events=%d", name, event, number)
    if not found.has_threads:
        logger.warning("threads are not shown; outcomes may be of another vCPU file=%r", name)
    if report.unattributed:
        logger.warning("events without a vCPU file=%r events=%d", name, report.unattributed)
    if report.errno_left_out:
        logger.warning(
            "failed runs of KVM_RUN whose errno the text leaves out; ftrace's own has it file=%r exits=%d",
            name,
            report.errno_left_out,
        )


def _host(text: str) -> str:
    if not 1 <= len(text) <= MOST_BELOW or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of 1 to {MOST_BELOW} printable characters")
    return text


def _time_ns(text: str) -> int:
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        time_ = None
    if time_ is None or time_.tzinfo is None or time_.timestamp() < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 2026-03-01T12:00:00Z")
    return int(time_.timestamp() * 1000) * 1_000_000
