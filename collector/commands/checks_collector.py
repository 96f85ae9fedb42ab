# SPDX-License-Identifier: Apache-2.0
"""How the collector of this machine fares: who counts, what is left counting, what waits for the server."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from collector.commands.checks_server import server_finding
from collector.counting.checks import Finding
from collector.counting.host_lock import holder_of
from collector.counting.other_sets import sort_out
from collector.counting.pinned_sets import find_sets
from collector.own_command import own_command
from collector.settings import spool_directory
from collector.spool.aside import found_aside
from collector.spool.file import SpoolName
from collector.spool.state import read_delivery
from faultmodel.kinds import CheckState as State


def examine_collector(data_dir: Path, bpffs: Path, lock_file: Path) -> Iterator[Finding]:
    """Yield the findings."""
    holder = holder_of(lock_file, bpffs)
    counts = f"a collector counts: {holder}" if holder is not None else "no collector counts just now"
    yield Finding("counting", State.OK, counts)
    yield _left(bpffs)
    spool = spool_directory(data_dir)
    yield _delivery(spool)
    yield _noticed(spool)


def _left(bpffs: Path) -> Finding:
    try:
        sets = sort_out(find_sets(bpffs))
    except OSError as exc:
        return Finding("left", State.OK, f"what is pinned cannot be seen: {exc.strerror}")
    left = [
        f"1 set that --data-dir {one.owner.data_dir} left" if one.owner else "1 set of an earlier version"
        for one in sets.expected
    ]
    if sets.lost:
        number = len(sets.lost)
        gone = "1 set whose data directory is gone" if number == 1 else f"{number} sets of no data directory"
        left.append(f"{gone}; what it counted since it was read last is lost unless a collector starts")
    if not left:
        return Finding("left", State.OK, "no programs are left counting without a collector")
    return Finding(
        "left",
        State.LACKING,
        f"counting, and read by nobody: {'; '.join(left)}",
        "start the collector, which takes them over, or remove them:"
        f" {own_command('detach', '--all', '--bpffs', bpffs)}",
    )


def _delivery(spool: Path) -> Finding:
    try:
        waiting = sum(1 for path in spool.iterdir() if SpoolName.read(path.name))
        aside = [reason for _, _, reason in found_aside(spool)]
        delivery = read_delivery(spool)
    except FileNotFoundError:
        return Finding("delivery", State.OK, f"no collector has run with {spool.parent}")
    except OSError as exc:
        return Finding("delivery", State.OK, f"cannot be seen by this user: {exc.strerror}")
    troubles = []
    if delivery is not None and delivery.error:
        troubles.append(
            f"{waiting} batches wait, since {_ago(delivery.since_ns)} the server takes nothing:"
            f" {delivery.error}"
        )
    if aside:
        are = "1 batch is" if len(aside) == 1 else f"{len(aside)} batches are"
        reasons = sorted({reason.detail for reason in aside})
        more = f" and {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
        troubles.append(f"{are} put aside: {'; '.join(reasons[:3])}{more}")
    if troubles:
        return Finding(
            "delivery",
            State.LACKING,
            "; ".join(troubles),
            "nothing of it is lost while it has room; what to do shows"
            f" {own_command('spool', 'list', '--data-dir', spool.parent)}",
        )
    return Finding("delivery", State.OK, f"{waiting} batches wait")


def _noticed(spool: Path) -> Finding:
    try:
        delivery = read_delivery(spool)
    except OSError as exc:
        return Finding("server", State.OK, f"what it noticed cannot be seen by this user: {exc.strerror}")
    if delivery is None:
        return Finding("server", State.OK, "it was not heard of yet")
    return server_finding(delivery.noticed)


def _ago(since_ns: int) -> str:
    moment = datetime.fromtimestamp(min(since_ns, time.time_ns()) // 10**9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
