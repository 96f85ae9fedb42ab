# SPDX-License-Identifier: Apache-2.0
"""Makes a history as a server would have kept it: at each level of counts, what retention leaves.

All follows from the numbers of VMs and days. VMs run through the whole history, and nothing is lacking of
it. Every 50th VM faults all the time: each second on one of two vCPUs, with one of two words. The others
fault in one second of ten minutes, each VM in another, as idle guests do. Every 40th VM has a memory-fault
exit in that second, too. Hosts report costs each second. Beside the newest seconds of a level, which are
made, each level is summed up from the one below, as a server does it; further back it is made in buckets of
its own. So levels agree wherever there are several.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Table

from backend.store import open_store
from backend.store.contract.levels import LENGTHS_S
from backend.store.contract.retention import BY_LENGTH_S, DEFAULT_S, Kept
from backend.store.sql.migrate import migrate
from backend.store.sql.tables.hosts import collector_costs
from backend.store.sql.tables.levels import MEASURED_SEEN, levels
from backend.store.sql.tables.vms import exit_counts, fault_counts, ledger
from faultmodel.record import Span
from faultmodel.units import NS_PER_S
from tests.fleet import Fleet

_DAY_S = 86_400
_BUSY, _EXITS = 50, 40
"""Every so manieth VM."""
_QUIET_S = 600
_FAULTS = 7
"""Of a vCPU with one word in a second in which there are any."""
_WORDS = (0x1_0000_0004, 0x1_0000_0006)
_FIRST_POSITION = 10**15
"""Of records: far behind those that batches get."""
_RECORD_S = 10
_CACHE_KIB = 1024 * 1024
_COST = {
    "wall_ns": 10**9,
    "cpu_ns": 4 * 10**6,
    "measured_ns": 10**8,
    "program_ns": 10**6,
    "program_runs": 5_000,
    "resident_bytes": 60 * 10**6,
    "seen": 1_000,
    MEASURED_SEEN: 100,
}


def make_history(path: Path, fleet: Fleet, days: int, end_s: int) -> int:
    """Make an SQLite database of so many days; return how many rows it has of counts.

    :param end_s: a whole hour, UTC s since the epoch
    """
    url = f"sqlite:///{path}"
    migrate(url)
    start_s = end_s - days * _DAY_S
    with closing(open_store(url)) as store:
        for batch in fleet.batches(range(start_s, end_s, end_s - start_s), 0, start_s=start_s):
            whole = (Span(start_s * NS_PER_S, end_s * NS_PER_S),)
            described = replace(batch, covered=whole, fault_counts=(), exit_counts=(), ledger=())
            assert store.apply(described, end_s * NS_PER_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
        connection.execute("BEGIN")
        rows = _fill(connection, start_s, end_s)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return rows


def _fill(connection: sqlite3.Connection, start_s: int, end_s: int) -> int:
    connection.execute("CREATE TEMP TABLE times (bucket_s INTEGER PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE places (vcpu INTEGER, word INTEGER)")
    connection.executemany(
        "INSERT INTO places VALUES (?, ?)", [(vcpu, word) for vcpu in (0, 1) for word in _WORDS]
    )
    connection.execute(
        "INSERT OR IGNORE INTO vcpus SELECT id, vcpu FROM vms, (SELECT DISTINCT vcpu FROM places)"
    )
    from_s = {length_s: _kept_from_s(length_s, start_s, end_s) for length_s in LENGTHS_S}
    rows, finer_s, finer_from_s = 0, 0, end_s
    for length_s in LENGTHS_S:
        connection.execute("DELETE FROM temp.times")
        connection.executemany(
            "INSERT INTO temp.times VALUES (?)",
            ((at,) for at in range(from_s[length_s], finer_from_s, length_s)),
        )
        _make(connection, length_s)
        for table in (fault_counts, exit_counts, collector_costs):
            if finer_s:
                _sum_up(connection, table, finer_s, length_s)
        _account(connection, length_s)
        for table in (fault_counts, exit_counts, ledger, collector_costs):
            name = levels[table][length_s].name
            (number,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            rows += number
        finer_s, finer_from_s = length_s, from_s[length_s]
    for length_s, since_s in from_s.items():
        if since_s > start_s:
            kept = BY_LENGTH_S[length_s].value
            connection.execute("INSERT INTO kept_from VALUES (?, ?, ?)", (kept, since_s, since_s))
    _record(connection, max(start_s, end_s - (DEFAULT_S[Kept.FAULTS] or 0)), start_s, end_s)
    return rows


def _kept_from_s(length_s: int, start_s: int, end_s: int) -> int:
    age_s = DEFAULT_S[BY_LENGTH_S[length_s]]
    return start_s if age_s is None else max(start_s, end_s - age_s)


def _make(connection: sqlite3.Connection, length_s: int) -> None:
    """Make a level's own buckets, those that begin at ``times``."""
    counts, exits = levels[fault_counts][length_s].name, levels[exit_counts][length_s].name
    columns = "vm_id, bucket_s, vcpu, format, word, faults, mapped_4k"
    others = ", ".join(
        column.name for column in fault_counts.columns if column.name not in columns.split(", ")
    )
    nothing = ", ".join("0" for _ in others.split(", "))
    # In a second one vCPU has one of the words; in longer buckets each has both.
    some = (
        "vcpu = (bucket_s / 7) % 2 AND (word % 4 = 0) = ((bucket_s / 3) % 2 = 0)" if length_s == 1 else "true"
    )
    times = max(1, length_s // 4)
    connection.execute(
        f"INSERT INTO {counts} ({columns}, {others})"
        f" SELECT id, bucket_s, vcpu, 'npf', word, {_FAULTS * times}, {_FAULTS * times}, {nothing}"
        f" FROM vms CROSS JOIN temp.times CROSS JOIN temp.places WHERE id % {_BUSY} = 0 AND {some}"
        " ORDER BY id, bucket_s, vcpu, word"
    )
    # The second in which it faults is in the bucket.
    due = f"((id * 37 - bucket_s) % {_QUIET_S} + {_QUIET_S}) % {_QUIET_S} < {length_s}"
    bursts = max(1, length_s // _QUIET_S)
    connection.execute(
        f"INSERT INTO {counts} ({columns}, {others})"
        f" SELECT id, bucket_s, (bucket_s / {_QUIET_S}) % 2, 'npf', {_WORDS[0]}, {_FAULTS * bursts},"
        f" {_FAULTS * bursts}, {nothing} FROM vms CROSS JOIN temp.times WHERE id % {_BUSY} != 0 AND {due}"
        " ORDER BY id, bucket_s"
    )
    connection.execute(
        f"INSERT INTO {exits} (vm_id, bucket_s, vcpu, reason, errno, count)"
        f" SELECT id, bucket_s, 0, 39, 14, {bursts} FROM vms CROSS JOIN temp.times"
        f" WHERE id % {_EXITS} = 1 AND {due} ORDER BY id, bucket_s"
    )
    costs = levels[collector_costs][length_s]
    of_cost = [column.name for column in costs.columns if column.name in _COST]
    values = [_COST[name] * (1 if name == "resident_bytes" else length_s) for name in of_cost]
    connection.execute(
        f"INSERT INTO {costs.name} (host_id, bucket_s, {', '.join(of_cost)})"
        f" SELECT id, bucket_s, {', '.join(map(str, values))} FROM hosts CROSS JOIN temp.times"
        " ORDER BY id, bucket_s"
    )


def _sum_up(connection: sqlite3.Connection, table: Table, finer_s: int, length_s: int) -> None:
    """Sum the level below up."""
    into, finer = levels[table][length_s], levels[table][finer_s]
    key = [column.name for column in into.primary_key]
    # The finest level of costs has what was measured by its share; the others have it summed.
    figures = [column.name for column in into.columns if column.name not in key]
    read = [
        f"SUM({_COST[MEASURED_SEEN]})" if name not in finer.columns else _sum(finer, name) for name in figures
    ]
    bucket = f"bucket_s - bucket_s % {length_s}"
    grouped = ", ".join(bucket if name == "bucket_s" else name for name in key)
    connection.execute(
        f"INSERT INTO {into.name} ({', '.join([*key, *figures])}) SELECT {grouped}, {', '.join(read)}"
        f" FROM {finer.name} GROUP BY {grouped} ORDER BY {grouped}"
    )


def _sum(table: Table, name: str) -> str:
    return f"MAX({name})" if table.columns[name].info.get("greatest") else f'SUM("{name}")'


def _account(connection: sqlite3.Connection, length_s: int) -> None:
    """Account for all counts of a level."""
    connection.execute(
        f"INSERT INTO {levels[ledger][length_s].name}"
        " (vm_id, bucket_s, seen, counted, uncounted, recorded, sampled_out, dropped)"
        f" SELECT vm_id, bucket_s, SUM(faults), SUM(faults), 0, 0, SUM(faults), 0"
        f" FROM {levels[fault_counts][length_s].name} GROUP BY vm_id, bucket_s ORDER BY vm_id, bucket_s"
    )


def _record(connection: sqlite3.Connection, faults_from_s: int, start_s: int, end_s: int) -> None:
    """Make records: of one VM's faults every ten seconds, and of all exits."""
    connection.executemany(
        "INSERT INTO x86_faults (position, vm_id, vcpu, time_ns, monotonic_ns, format, syndrome, address,"
        f" weight) SELECT ?, id, 0, ?, 0, 'npf', {_WORDS[1]}, 4096, 10 FROM vms WHERE id = {_BUSY}",
        (
            (_FIRST_POSITION + number, at_s * NS_PER_S)
            for number, at_s in enumerate(range(faults_from_s, end_s, _RECORD_S))
        ),
    )
    vms = connection.execute(f"SELECT id FROM vms WHERE id % {_EXITS} = 1").fetchall()
    moments = (
        (vm, start_s + (vm * 37 - start_s) % _QUIET_S + after_s)
        for (vm,) in vms
        for after_s in range(0, end_s - start_s - _QUIET_S, _QUIET_S)
    )
    connection.executemany(
        "INSERT INTO x86_exits (position, vm_id, vcpu, time_ns, monotonic_ns, kind, reason, errno, flags,"
        " gpa, size) VALUES (?, ?, 0, ?, 0, 'memory_fault', 39, 14, 0, 4096, 4096)",
        ((_FIRST_POSITION + number, vm, at_s * NS_PER_S) for number, (vm, at_s) in enumerate(moments)),
    )
