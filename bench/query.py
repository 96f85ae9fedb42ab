# SPDX-License-Identifier: Apache-2.0
"""How long each question of the API takes over a long history, while batches come in.

A history of 30 days is made (``bench/history/making.py`` says of what), on SQLite, and copied to PostgreSQL
or ClickHouse where that is wanted. Then a server answers each question several times over the newest 15
minutes, 24 hours, 7 and 30 days, while 20 hosts hand in a batch each second: 10,000 counts of 1,000 VMs that
all fault all the time, on five vCPUs each. Each question is another one, as its range moves on. It is shown
how long it takes by the clock, and the server's CPU time meanwhile, that for batches included. The first
time, which finds nothing that is kept, is apart.

    python -m bench.query [--postgresql | --clickhouse] [--vms 1000] [--days 30] [--times 20] [--quiet]
        [--keep DIR] [--only PATTERN]

``--quiet`` hands no batches in. ``--keep`` keeps the history in a folder, or takes the one that is there.
``--only`` asks those questions alone in whose name a regular expression is found.
"""

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode, urlsplit

from backend.store.sql.migrate import migrate
from bench.cost.process import cpu_ns
from bench.history.making import make_history
from bench.history.questions import RANGES_S, WITHOUT_A_RANGE, Question, questions
from bench.markdown import table
from bench.writing.ways import make_tokens
from faultmodel import wire
from faultmodel.units import NS_PER_MS
from tests.backend.process import serving
from tests.fleet import Fleet
from tests.postgresql import running_postgresql

LIMIT_MS = 50.0
HOSTS = 20
_HOUR_S = 3600
_VCPUS = 5
"""Of each VM that batches come in of: each has a count of two words in each second."""
_VM = 50
"""The busiest sort: it faults all the time."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a history is, and the further options of a server on it."""

    url: str
    options: tuple[str, ...] = ()


def main() -> None:
    """Measure and print."""
    options = _options()
    os.umask(0o077)
    fleet = Fleet(options.vms, HOSTS)
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        made, end_s = _made(folder, fleet, options.days)
        place = stack.enter_context(_place(made, folder, options))
        tokens = make_tokens(place.url, list(fleet.host_names))
        arguments = ("--database", place.url, "--no-collector", *place.options)
        process, address = stack.enter_context(serving(*arguments))
        server = Server(address, process.pid)
        ended = threading.Event()
        sent = Fleet(options.vms, HOSTS, _VCPUS)
        sender = threading.Thread(target=_send, args=(address, tokens, sent, end_s, ended), daemon=True)
        if not options.quiet:
            sender.start()
            time.sleep(10)
        head = (
            "",
            "range",
            "first, ms",
            "p50, ms",
            "p95, ms",
            "p99, ms",
            "CPU, ms",
            "kB",
            f"of {LIMIT_MS:g} ms",
        )
        rows = [head, *_measure(server, options)]
        ended.set()
    print(*table(rows), sep="\n")


class Server:
    """A server that is asked."""

    def __init__(self, address: str, pid: int) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
        self._pid = pid

    def get(self, path: str, parameters: Mapping[str, object]) -> bytes:
        """Return an answer's body, compressed. :raises OSError: it is an error"""
        target = f"/api/v1/{path}?{urlencode(parameters)}"
        self._connection.request("GET", target, headers={"Accept-Encoding": "gzip"})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise OSError(f"GET {target}: {response.status} {body.decode(errors='replace')}")
        return body

    def json(self, path: str) -> Any:  # noqa: ANN401 - as JSON has it
        """Return an answer, read."""
        self._connection.request("GET", f"/api/v1/{path}", headers={"Accept-Encoding": "identity"})
        return json.loads(self._connection.getresponse().read())

    def cpu_ms(self) -> float:
        """Return the CPU time that the process has had."""
        return cpu_ns(self._pid) / NS_PER_MS


def _measure(server: Server, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    vm = f"{_VM:016x}"
    one = server.json(f"vms/{vm}")
    for question in questions(vm, one["guest"], one["host"]):
        if not options.only.search(question.name):
            continue
        is_ranged = question.name not in WITHOUT_A_RANGE
        ranges = (
            {name: s for name, s in RANGES_S.items() if s <= options.days * 86_400} if is_ranged else {"": 0}
        )
        for name, span_s in ranges.items():
            yield _asked(server, question, name, span_s, options.times)


def _asked(server: Server, question: Question, range_name: str, span_s: int, times: int) -> tuple[str, ...]:
    taken_ms, size, used_ms, first_ms = [], 0, 0.0, 0.0
    for number in range(times + 1):
        to_ms = int(time.time() * 1000)
        parameters = question.asked(to_ms - span_s * 1000, to_ms) if span_s else question.parameters
        began_ms, before_ms = time.perf_counter() * 1000, server.cpu_ms()
        size = len(server.get(question.path, parameters))
        took_ms = time.perf_counter() * 1000 - began_ms
        if number:
            taken_ms.append(took_ms)
            used_ms += server.cpu_ms() - before_ms
        else:
            first_ms = took_ms
        time.sleep(0.02)
    p50, p95, p99 = (quantiles(taken_ms, n=100, method="inclusive")[place - 1] for place in (50, 95, 99))
    figures = (f"{value:,.1f}" for value in (first_ms, p50, p95, p99, used_ms / times, size / 1000))
    row = (question.name, range_name, *figures, f"{p95 / LIMIT_MS:.2f}")
    print(*row, sep="\t", file=sys.stderr, flush=True)
    return row


def _made(folder: Path, fleet: Fleet, days: int) -> tuple[Path, int]:
    """Return the SQLite file of the history, and when it ends, UTC s."""
    path, note = folder / "history.db", folder / "history.json"
    if note.exists():
        # It may be of an earlier revision.
        migrate(f"sqlite:///{path}")
        return path, int(json.loads(note.read_text(encoding="utf-8"))["end_s"])
    began_s, end_s = time.time(), int(time.time()) // _HOUR_S * _HOUR_S
    rows = make_history(path, fleet, days, end_s)
    size_mb, took_s = path.stat().st_size / 1e6, time.time() - began_s
    print(f"{rows:,} rows of counts, {size_mb:,.0f} MB, made in {took_s:,.0f} s", file=sys.stderr, flush=True)
    note.write_text(json.dumps({"end_s": end_s, "rows": rows}), encoding="utf-8")
    return path, end_s


@contextmanager
def _place(made: Path, folder: Path, options: argparse.Namespace) -> Iterator[Place]:
    with ExitStack() as stack:
        own = folder / "own.db"
        for old in folder.glob("own.db*"):
            old.unlink()
        if options.postgresql:
            postgresql = stack.enter_context(running_postgresql(is_durable=True))
            place = Place(postgresql.url(postgresql.new_database()))
        elif options.clickhouse:
            engine = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
            series = f"clickhousedb:///default?interface=chdb&path={engine}"
            place = Place(f"sqlite:///{own}", ("--series", series))
        else:
            # Batches are handed in to a copy, so that each run finds the same.
            subprocess.run(["cp", "--reflink=auto", made, own], check=True)
            yield Place(f"sqlite:///{own}")
            return
        _copy(made, place)
        yield place


def _copy(made: Path, to: Place) -> None:
    began_s = time.time()
    command = [sys.executable, "-m", "backend"]
    to_series = [
        f"--to-{option.removeprefix('--')}" if option.startswith("--") else option for option in to.options
    ]
    copying = ["copy", "--from", f"sqlite:///{made}", "--to", to.url, *to_series]
    subprocess.run([*command, *copying], check=True, stdout=sys.stderr)
    print(f"copied in {time.time() - began_s:,.0f} s", file=sys.stderr, flush=True)


def _send(
    address: str, tokens: Mapping[str, str], fleet: Fleet, start_s: int, ended: threading.Event
) -> None:
    """Hand in each second of each host, once it is over, after what the history has."""
    began_s = int(time.time())
    sequence, at_s = 1, began_s
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)) as connection:
        while not ended.wait(max(0.0, at_s + 1 - time.time())):
            seconds = range(at_s, at_s + 1)
            for batch in fleet.batches(seconds, sequence, start_s=start_s, counted_from_s=began_s):
                headers = {
                    "Authorization": f"Bearer {tokens[batch.host.name]}",
                    "Content-Type": wire.CONTENT_TYPE,
                }
                connection.request("POST", "/api/v1/ingest", wire.encode(batch), headers)
                response = connection.getresponse()
                body = response.read()
                if response.status != http.client.OK:
                    raise OSError(f"a batch was refused: {response.status} {body.decode()}")
            sequence, at_s = sequence + 1, at_s + 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument(
        "--clickhouse", action="store_true", help="counts and records in chdb, the rest in SQLite"
    )
    parser.add_argument("--vms", type=int, default=1000, help="%(default)s")
    parser.add_argument("--days", type=int, default=30, help="%(default)s")
    parser.add_argument("--times", type=int, default=20, help="each question is asked so often (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no batches come in meanwhile")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the history there, or take that of an earlier run"
    )
    parser.add_argument(
        "--only", type=re.compile, default=re.compile(""), metavar="PATTERN", help="of these questions alone"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
