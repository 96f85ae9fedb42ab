# SPDX-License-Identifier: Apache-2.0
"""How long a batch takes while many read, beside a server that nobody reads: now, and before if wanted.

48 readers ask for the list of VMs as fast as they are answered, each another question; whoever is refused
for now asks again. Meanwhile a host hands in a batch every 0.2 s. The same without readers before. Each side
runs the code of its own commit, this file included, on an SQLite file of its own with the same history; with
``--postgresql`` on a PostgreSQL of its own, as durable as a real one.

    python -m bench.readers [--before COMMIT] [--readers 48] [--seconds 20] [--history 300] [--postgresql]
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from backend.store import open_store
from backend.store.sql.migrate import migrate
from bench.markdown import table
from bench.writing.ways import make_tokens
from faultmodel import arch, wire
from faultmodel.kinds import HostState
from faultmodel.record import Host, Span, Vm
from faultmodel.wire import Batch
from tests.backend.process import serving
from tests.ledgers import unrecorded_ledger
from tests.postgresql import running_postgresql

VMS, VCPUS, WORDS = 100, 4, 5
"""Of each second of the history."""
_TOP = Path(__file__).resolve().parents[1]
_PAUSE_S = 0.2
_TIMEOUT_S = 60.0
_NS_PER_S = 10**9


def main() -> None:
    """Measure each side, one after the other, and print them."""
    options = _options()
    if options.side:
        print(json.dumps(measure(options)))
        return
    rows: list[tuple[str, ...]] = [
        ("", "batch alone, ms", "p99", f"with {options.readers} readers, ms", "p99", "ratio", "answered")
    ]
    if options.before:
        rows.append((options.before, *_cells(_run_at(options.before))))
    rows.append(("now", *_cells(_run(_TOP))))
    print(*table(rows), sep="\n")


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Measure the code that is imported here; return ms of batches and what became of questions."""
    os.umask(0o077)
    with ExitStack() as stack:
        if options.postgresql:
            postgresql = stack.enter_context(running_postgresql(is_durable=True))
            url = postgresql.url(postgresql.new_database())
        else:
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/history.db"
        migrate(url)
        start_s = int(time.time()) - options.history - 1000
        with closing(open_store(url)) as store:
            for second in range(options.history):
                store.apply(make_batch(start_s, second), received_ns=time.time_ns())
        tokens = make_tokens(url, ["host-1"])
        with serving("--database", url, "--no-collector") as (process, address):
            sequence = iter(range(options.history, sys.maxsize))
            alone = send(address, tokens["host-1"], start_s, sequence, options.seconds)
            answered: Counter[int] = Counter()
            ended = threading.Event()
            readers = [
                threading.Thread(target=read, args=(address, number, answered, ended), daemon=True)
                for number in range(options.readers)
            ]
            for reader in readers:
                reader.start()
            time.sleep(2)
            with_readers = send(address, tokens["host-1"], start_s, sequence, options.seconds)
            ended.set()
            peak = Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    return {
        "alone": alone,
        "with_readers": with_readers,
        "answered": answered[200],
        "again": answered[503],
        "peak_mib": int(peak) // 1024,
    }


def make_batch(start_s: int, second: int) -> Batch:
    """Return a second of many busy VMs."""
    architecture = arch.get("x86_64")
    bucket_ms = (start_s + second) * 1000
    vms = [
        Vm(id=f"{number:016x}", pid=number + 1, started_ns=0, name=f"vm-{number}") for number in range(VMS)
    ]
    assert architecture.format_field is not None, "x86 has several formats"
    form = {architecture.format_field: next(iter(architecture.formats))}
    counts = tuple(
        architecture.fault_count(
            bucket_ms=bucket_ms, vm=vm.id, vcpu=vcpu, faults=3, **form, **{architecture.word_field: word}
        )
        for vm in vms
        for vcpu in range(VCPUS)
        for word in range(WORDS)
    )
    start_ns = (start_s + second) * _NS_PER_S
    return Batch(
        host=Host(name="host-1", boot_id="b", arch="x86_64", state=HostState.ATTACHED),
        stream="5" * 32,
        sequence=second,
        arch="x86_64",
        counting="5" * 32,
        covered=(Span(start_ns, start_ns + _NS_PER_S),),
        vms=tuple(vms),
        fault_counts=counts,
        ledger=unrecorded_ledger(bucket_ms, counts, {}),
    )


def send(address: str, token: str, start_s: int, sequence: Iterator[int], seconds: float) -> list[float]:
    """Hand in a batch every 0.2 s; return how long each took, in ms. One that is refused is sent again."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}
    taken = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        body = wire.encode(make_batch(start_s, next(sequence)))
        began_s = time.monotonic()
        while _ask(address, "POST", "/api/v1/ingest", body, headers)[0] != 200 and time.monotonic() < end_s:
            time.sleep(0.1)
        taken.append((time.monotonic() - began_s) * 1000)
        time.sleep(_PAUSE_S)
    return taken


def read(address: str, number: int, answered: "Counter[int]", ended: threading.Event) -> None:
    """Ask a question of its own again and again."""
    while not ended.is_set():
        status, retry_s = _ask(address, "GET", f"/api/v1/vms?limit={1000 - number}", None, {})
        answered[status] += 1
        ended.wait(retry_s)


def _ask(
    address: str, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, float]:
    """Return the status, 0 where there was no answer, and the seconds after which to ask again."""
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=_TIMEOUT_S)) as connection:
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return 0, 1.0
        return response.status, float(response.headers.get("retry-after", 0))


def _run_at(commit: str) -> dict[str, list[float] | int]:
    """Measure another commit, which must have this file: each side runs its own."""
    here = Path(__file__).resolve().relative_to(_TOP)
    named = subprocess.run(
        ["git", "-C", _TOP, "cat-file", "-e", f"{commit}:{here}"], check=False, capture_output=True
    )
    if named.returncode != 0:
        raise SystemExit(f"--before {commit}: no such commit, or it has no {here}")
    with tempfile.TemporaryDirectory() as directory:
        checkout = Path(directory) / "before"
        subprocess.run(
            ["git", "-C", _TOP, "worktree", "add", "--detach", checkout, commit],
            check=True,
            capture_output=True,
        )
        try:
            return _run(checkout)
        finally:
            subprocess.run(["git", "-C", _TOP, "worktree", "remove", "--force", checkout], check=True)


def _run(checkout: Path) -> dict[str, list[float] | int]:
    """Measure a checkout in a process of its own."""
    print(f"measuring {checkout}", file=sys.stderr, flush=True)
    arguments = [*sys.argv[1:], "--side", "yes"]
    done = subprocess.run(
        [sys.executable, "-P", checkout / Path(__file__).resolve().relative_to(_TOP), *arguments],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, list[float] | int] = json.loads(done.stdout.splitlines()[-1])
    print(found, file=sys.stderr, flush=True)
    return found


def _cells(found: dict[str, list[float] | int]) -> list[str]:
    alone, busy = found["alone"], found["with_readers"]
    assert isinstance(alone, list)
    assert isinstance(busy, list)
    cells = [_ms(median(alone)), _ms(_p99(alone)), _ms(median(busy)), _ms(_p99(busy))]
    return [*cells, f"{median(busy) / median(alone):.1f}", f"{found['answered']}"]


def _p99(values: list[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.99) - 1)]


def _ms(value: float) -> str:
    return f"{value:,.0f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", metavar="COMMIT", default="", help="measure this one too, before now")
    parser.add_argument("--readers", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=20, help="with readers, and as long without")
    parser.add_argument("--history", type=int, default=300, help="seconds that are stored already")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
