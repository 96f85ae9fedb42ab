# SPDX-License-Identifier: Apache-2.0
"""The command kvmfaults-collector."""

import argparse
import logging
import math
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from collector import rights
from collector.commands import detach, doctor, record
from collector.commands import spool as spool_command
from collector.commands.import_trace import add_parser as add_import
from collector.errors import CollectorError
from collector.pipeline import Pipeline
from collector.private_files import check_data_directory, own_directory
from collector.probe.layout import RecordLevel
from collector.probe.opener import Opener
from collector.settings import (
    BPFFS,
    DEFAULT_BUDGET,
    DEFAULT_HOOK_BUDGET,
    DEFAULT_RECORDS_PER_SECOND,
    LOCK_FILE,
    MAX_BUDGET_PERCENT,
    MAX_HOST_CHARACTERS,
    MAX_INTERVAL_S,
    MAX_RECORDS_PER_SECOND,
    MIN_INTERVAL_S,
    MIN_SPOOL_BYTES,
    Settings,
)
from collector.spool.queue import DEFAULT_BYTES
from collector.stop import Stop
from faultmodel import console
from faultmodel.errors import FaultModelError
from faultmodel.text import printable

logger = logging.getLogger(__name__)

_RECORDS = {level.name.lower(): level for level in RecordLevel}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 1 failed, 2 wrong usage; doctor's and record's own."""
    return console.run(lambda: _run_command(arguments))


def _run_command(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    # One line a request would drown what an operator wants to see.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        return int(options.run(options))
    except (CollectorError, FaultModelError) as exc:
        print(f"kvmfaults-collector: {exc}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: stop.set(leave_counting=True))
    _warn_of_open_file(options.token_file)
    # It may have to be made in another user's: later there is no right to.
    check_data_directory(options.data_dir)
    if options.cache_dir is not None:
        own_directory(options.cache_dir, "--cache-dir")
    # Before any thread: each has rights of its own.
    with Opener() as opener:
        rights.keep_only(rights.needed(_read_later(options)))
        Pipeline(_settings(options), stop, opener).run()
    return 0


def _read_later(options: argparse.Namespace) -> list[Path]:
    """What is read again while it runs: programs are compiled anew for each vendor's module."""
    own = [Path(__file__), Path(sys.executable), Path(sys.prefix)]
    others = [path for path in (options.ca_file, options.cache_dir) if path]
    return [*own, options.data_dir, options.token_file, *others]


def _warn_of_open_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        # Whoever reads it says so.
        return
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning(
            "token file is open to others path=%s mode=%o remedy=%r", path, mode & 0o777, "chmod 600"
        )


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        server=options.server,
        token_file=options.token_file,
        data_dir=options.data_dir,
        host=options.host,
        interval_s=options.interval,
        spool_bytes=options.spool_bytes,
        ca_file=options.ca_file,
        records=options.records,
        records_per_second=options.records_per_second,
        budget=options.budget / 100,
        hook_budget=options.hook_budget / 100,
        bpffs=options.bpffs,
        lock_file=options.lock_file,
        cache_dir=options.cache_dir,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kvmfaults-collector", description="Trace the memory faults of KVM guests on this host."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="count faults and ship them to the server, until SIGTERM",
        epilog="SIGTERM and SIGINT end the counting too. SIGHUP ends this process only: counting goes on,"
        " and the next collector takes it over without a gap, as after a kill. If there will be no next"
        " collector, run kvmfaults-collector detach.",
    )
    run.set_defaults(run=_run)
    run.add_argument(
        "--server", default=_default("SERVER", "http://127.0.0.1:8470"), help="URL (%(default)s)"
    )
    run.add_argument(
        "--token-file",
        type=Path,
        required=not _default("TOKEN_FILE"),
        default=_default("TOKEN_FILE"),
        help="holds an ingest token of HOST",
    )
    run.add_argument(
        "--data-dir",
        type=Path,
        default=_default("DATA_DIR", "/var/lib/kvmfaults"),
        help="where batches and what it has to remember are kept (%(default)s)",
    )
    run.add_argument(
        "--cache-dir",
        type=Path,
        default=_default("CACHE_DIR") or None,
        help="where the kernel's types and the compiled programs are kept, which can be removed at any time"
        " (the data directory)",
    )
    run.add_argument(
        "--host",
        type=_host,
        default=_default("HOST_NAME", socket.gethostname()),
        help="this host's name (%(default)s)",
    )
    run.add_argument(
        "--interval",
        type=_interval,
        default=_default("INTERVAL", "1"),
        help="seconds between readings (%(default)s)",
    )
    run.add_argument(
        "--spool-bytes",
        type=_spool_bytes,
        default=DEFAULT_BYTES,
        help="room on disk for batches that the server has not taken yet (%(default)s)",
    )
    run.add_argument(
        "--ca-file", type=Path, default=_default("CA_FILE") or None, help="certificates to trust"
    )
    run.add_argument(
        "--records",
        type=_records,
        metavar="|".join(_RECORDS),
        default=_default("RECORDS", "sample"),
        help="which guest faults to record one by one, beside counting all (%(default)s)",
    )
    run.add_argument(
        "--records-per-second",
        type=_records_per_second,
        default=_default("RECORDS_PER_SECOND", str(DEFAULT_RECORDS_PER_SECOND)),
        help="most to record of each VM in a sample (%(default)s)",
    )
    run.add_argument(
        "--budget",
        type=_budget,
        default=_default("BUDGET", f"{DEFAULT_BUDGET * 100:g}"),
        help="percent of a core to keep within, by recording less; counts stay exact; 0: no limit"
        " (%(default)s)",
    )
    run.add_argument(
        "--hook-budget",
        type=_budget,
        default=_default("HOOK_BUDGET", f"{DEFAULT_HOOK_BUDGET * 100:g}"),
        help="percent of a core that each of the hooks on the host's scheduler and on guest entry may take;"
        " above it, sleeps of vCPUs or ends of stalls are not measured for a time; 0: no limit (%(default)s)",
    )
    run.add_argument(
        "--bpffs",
        type=Path,
        default=_default("BPFFS", str(BPFFS)),
        help="where to pin programs and maps, so that counting outlives this process (%(default)s)",
    )
    run.add_argument(
        "--lock-file",
        type=Path,
        default=_default("LOCK_FILE", str(LOCK_FILE)),
        help="held while counting, so that one collector counts on a machine; two that are to count side by"
        " side need one each, and a --bpffs each (%(default)s)",
    )
    doctor.add_parser(commands, *_places())
    record.add_parser(commands, _default("DATA_DIR", "/var/lib/kvmfaults"))
    spool_command.add_parser(commands, _default("DATA_DIR", "/var/lib/kvmfaults"))
    detach.add_parser(commands, *_places()[:2])
    add_import(commands)
    return parser


def _places() -> tuple[str, str, str]:
    return (
        _default("DATA_DIR", "/var/lib/kvmfaults"),
        _default("BPFFS", str(BPFFS)),
        _default("LOCK_FILE", str(LOCK_FILE)),
    )


def _default(name: str, fallback: str = "") -> str:
    return os.environ.get(f"KVMFAULTS_{name}", fallback)


def _interval(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not MIN_INTERVAL_S <= value <= MAX_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"must be {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g} seconds")
    return value


def _records(text: str) -> RecordLevel:
    # As a type: argparse does not hold a default, which may be from the environment, against choices.
    if text not in _RECORDS:
        raise argparse.ArgumentTypeError(f"must be {', '.join(_RECORDS)}")
    return _RECORDS[text]


def _records_per_second(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_RECORDS_PER_SECOND:
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_RECORDS_PER_SECOND}")
    return int(text)


def _budget(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_BUDGET_PERCENT:
        raise argparse.ArgumentTypeError(f"must be 0 to {MAX_BUDGET_PERCENT} percent of a core")
    return value


def _host(text: str) -> str:
    if not 1 <= len(text) <= MAX_HOST_CHARACTERS:
        raise argparse.ArgumentTypeError(f"must have 1 to {MAX_HOST_CHARACTERS} characters")
    if printable(text) != text:
        raise argparse.ArgumentTypeError(f"{text!r} has characters that do not show; name it otherwise")
    return text


def _spool_bytes(text: str) -> int:
    if not text.isdecimal() or int(text) < MIN_SPOOL_BYTES:
        raise argparse.ArgumentTypeError(f"must be a number of bytes, {MIN_SPOOL_BYTES} or more: one batch")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
