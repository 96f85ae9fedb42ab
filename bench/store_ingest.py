"""How fast a store takes fault counts, beside the bare driver writing the same rows, in one run.

    python -m bench.store_ingest sqlite:////tmp/bench.db
    python -m bench.store_ingest postgresql://user@host/empty_database

The database must be empty. The two take turns at every batch, so that whatever else the machine does
strikes both. The bare driver inserts ready tuples into a table of the same columns and key, a transaction
for each batch and as durable: SQLite's ``executemany``, PostgreSQL's ``COPY``. It is the limit, not a peer:
it neither remembers batches nor adds to stored rows.
"""

import argparse
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

import psycopg
from sqlalchemy.engine import make_url

from backend.store import open_store
from backend.store.migrate import migrate
from faultmodel import arch
from faultmodel.record import COUNTERS, Host, Span, Vm
from faultmodel.wire import Batch

BATCH_ROWS = 5000
VMS = 25
VCPUS = 8
START_S = 1_800_000_000
COLUMNS = ("vm_id", "bucket_s", "vcpu", "format", "syndrome", *COUNTERS)

Row = tuple[int | str, ...]


def main() -> None:
    """Print a line for each round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="an empty database")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=20, help=f"of {BATCH_ROWS} rows, in each round")
    options = parser.parse_args()
    migrate(options.url)
    with closing(open_store(options.url)) as store, closing(_bare_driver(options.url)) as driver:
        ratios = []
        for number in range(options.rounds):
            store_s = driver_s = 0.0
            for sequence in range(number * options.batches, (number + 1) * options.batches):
                batch = _batch(sequence)
                rows = list(_rows(batch))
                store_s += _seconds(partial(store.apply, batch, time.time_ns()))
                driver_s += _seconds(partial(driver.write, rows))
            ratios.append(driver_s / store_s)
            written = options.batches * BATCH_ROWS
            print(
                f"store {written / store_s:9,.0f} rows/s   bare driver {written / driver_s:9,.0f} rows/s"
                f"   ratio {ratios[-1]:.2f}"
            )
    print(f"ratio to the bare driver: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


class BareSqlite:
    """Rows by ``executemany``."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(f"{_create_table()} WITHOUT ROWID")
        self._insert = f"INSERT INTO bare VALUES ({', '.join('?' * len(COLUMNS))})"

    def write(self, rows: Sequence[Row]) -> None:
        """Insert a batch in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(self._insert, rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class BarePostgresql:
    """Rows by COPY."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url)
        self._connection.execute(_create_table())
        self._connection.commit()

    def write(self, rows: Sequence[Row]) -> None:
        """Insert a batch in one transaction."""
        with self._connection.cursor().copy("COPY bare FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        self._connection.commit()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _bare_driver(url: str) -> BareSqlite | BarePostgresql:
    parsed = make_url(url)
    if parsed.drivername == "sqlite":
        # A file of its own: a writer drops its cache when another has written to its file.
        return BareSqlite(f"{parsed.database}-bare")
    return BarePostgresql(url)


def _create_table() -> str:
    columns = ", ".join(f"{name} {'TEXT' if name == 'format' else 'BIGINT'} NOT NULL" for name in COLUMNS)
    return f"CREATE TABLE bare ({columns}, PRIMARY KEY (vm_id, bucket_s, vcpu, format, syndrome))"


def _batch(sequence: int) -> Batch:
    count = arch.get("x86_64").fault_count
    bucket_s = START_S + sequence
    vms = tuple(Vm(id=f"{number:016x}", pid=number, started_ns=0) for number in range(VMS))
    return Batch(
        host=Host(name="bench", boot_id="bench", arch="x86_64", state="attached"),
        stream="b" * 32,
        sequence=sequence,
        arch="x86_64",
        counting="b" * 32,
        covered=(Span(bucket_s * 10**9, (bucket_s + 1) * 10**9),),
        vms=vms,
        fault_counts=tuple(
            count(bucket_s * 1000, vm.id, vcpu, "npf", 0x1_0000_0000 + word, 1000, 900, 90, 10)
            for vm in vms
            for vcpu in range(VCPUS)
            for word in range(BATCH_ROWS // VMS // VCPUS)
        ),
    )


def _rows(batch: Batch) -> Iterator[Row]:
    for item in batch.fault_counts:
        counters = (getattr(item, name) for name in COUNTERS)
        yield (int(item.vm, 16), item.bucket_ms // 1000, item.vcpu, item.format, item.syndrome, *counters)


def _seconds(write: Callable[[], object]) -> float:
    started = time.perf_counter()
    write()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
