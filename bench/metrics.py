# SPDX-License-Identifier: Apache-2.0
"""What a scrape of many VMs costs: CPU time to read the counts, to write the text, and how large it is.

In one process, on SQLite, without HTTP. Each VM has faults of two words on two vCPUs, stalls of three
outcomes in twelve octaves, and exits for four reasons, in each of the newest seconds; before that, in some
seconds of days. The first scrape reads all of it; each of those that follow comes after another batch of each
host. The limit is one for writing.

    python -m bench.metrics [--vms 500] [--hosts 20] [--days 30] [--times 10]
"""

import argparse
import gzip
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from backend.query.metrics import Metrics
from backend.store import open_store
from backend.store.sql.migrate import migrate
from bench.markdown import table
from faultmodel.exposition import Form, written
from faultmodel.outcomes import Outcome
from faultmodel.record import Access, ExitCount
from faultmodel.record_stalls import StallCount, StallEntry
from faultmodel.units import MS_PER_S, NS_PER_S
from faultmodel.wire import Batch
from tests.fleet import Fleet

LIMIT_MS = 50.0
_DAY_S = 86_400
_REASONS = (2, 5, 6, 10)
_OUTCOMES = (Outcome.MAPPED_4K, Outcome.MAPPED_2M, Outcome.FAST)
_OCTAVES = range(-1, 11)


def main() -> None:
    """Measure and print."""
    os.umask(0o077)
    options = _options()
    fleet = Fleet(options.vms, options.hosts)
    now_s = int(time.time())
    start_s = now_s - options.days * _DAY_S
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'kvmfaults.db'}"
        migrate(url)
        with closing(open_store(url)) as store:
            for day in range(options.days):
                for batch in _batches(fleet, start_s + day * _DAY_S, day, start_s):
                    store.apply(batch, now_s * NS_PER_S)
            metrics = Metrics(store, "bench")
            reading: list[float] = []
            writing: dict[Form, list[float]] = {form: [] for form in Form}
            text = ""
            for number in range(options.times + 1):
                for batch in _batches(fleet, now_s + number, options.days + number, start_s):
                    store.apply(batch, (now_s + number) * NS_PER_S)
                began_s = time.process_time()
                families = metrics.families((now_s + number + 1) * NS_PER_S)
                reading.append(time.process_time() - began_s)
                for form, taken in writing.items():
                    began_s = time.process_time()
                    text = written(families, form)
                    taken.append(time.process_time() - began_s)
    kept = reading[1:]
    rows = [
        ("", "CPU, ms", f"of {LIMIT_MS:g} ms"),
        ("first scrape: read", _ms([reading[0]]), ""),
        ("the others: read", _ms(kept), ""),
        ("written as text", _ms(writing[Form.TEXT]), f"{_share(writing[Form.TEXT]):.2f}"),
        (
            "written as OpenMetrics",
            _ms(writing[Form.OPEN_METRICS]),
            f"{_share(writing[Form.OPEN_METRICS]):.2f}",
        ),
    ]
    print(*table(rows), sep="\n")
    series = sum(1 for line in text.splitlines() if not line.startswith("#"))
    packed = len(gzip.compress(text.encode(), 4))
    print(f"{series:,} series, {len(text) / 1000:,.0f} kB, {packed / 1000:,.0f} kB compressed by gzip")


def _batches(fleet: Fleet, second: int, sequence: int, start_s: int) -> Iterator[Batch]:
    for batch in fleet.batches(range(second, second + 1), sequence, start_s=start_s):
        ids = [vm.id for vm in batch.vms]
        bucket_ms = second * MS_PER_S
        stalls = [
            StallCount(bucket_ms, vm, Access.WRITE, outcome, False, octave, 1, 0, 0, 0, 500, 0, 500)
            for vm in ids
            for outcome in _OUTCOMES
            for octave in _OCTAVES
        ]
        ended = len(_OUTCOMES) * len(_OCTAVES)
        yield replace(
            batch,
            exit_counts=tuple(ExitCount(bucket_ms, vm, 0, reason, 0, 3) for vm in ids for reason in _REASONS),
            stalls=tuple(stalls),
            stall_ledger=tuple(StallEntry(bucket_ms, vm, ended, ended, 0) for vm in ids),
        )


def _ms(taken_s: Sequence[float]) -> str:
    return f"{median(taken_s) * MS_PER_S:,.0f}"


def _share(taken_s: Sequence[float]) -> float:
    return median(taken_s) * MS_PER_S / LIMIT_MS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vms", type=int, default=500, help="%(default)s")
    parser.add_argument("--hosts", type=int, default=20, help="%(default)s")
    parser.add_argument("--days", type=int, default=30, help="%(default)s")
    parser.add_argument("--times", type=int, default=10, help="%(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    main()
