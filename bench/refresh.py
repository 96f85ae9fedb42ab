# SPDX-License-Identifier: Apache-2.0
"""What a refresh of the overview costs the server: its CPU time from the question to the last answer.

A server of its own has the newest minutes of a fleet without guests, and takes a batch of each host each
second. Then a page asks what it asks each second, and after that many pages do so at once. What the server
does besides, between the question and the last answer, counts as well. Needs no KVM and no root.

    python -m bench.refresh [--vms 560] [--hosts 4] [--minutes 15] [--seconds 60] [--pages 200] [--sessions]

With ``--sessions`` the server listens on every address and asks for tokens, and each page has a session of
its own. Run it where nobody else reaches it: ``unshare --net sh -c "ip link set lo up; python -m
bench.refresh --sessions"``.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

from backend.auth import TokenKind
from backend.store import open_store
from backend.token_file import create_token_file
from bench.cost.process import cpu_ns
from bench.markdown import table
from bench.viewing.questions import Viewer, page_step_s
from faultmodel.units import NS_PER_MS
from tests.browser.feed import Feed
from tests.fleet import Fleet

LIMIT_MS = 20.0
LIMIT_OF_PAGES = 5.0
"""What many pages cost at most, in terms of one."""
_LATE_S = 30
"""The newest counts of a level are summed up some seconds after their buckets have ended."""


def main() -> None:
    """Measure and print."""
    options = _options()
    fleet = Fleet(options.vms, options.hosts)
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as directory:
        feed = Feed(Path(directory), fleet.host_names)
        feed.product.start_server(expect_collector=False)
        try:
            start_s = int(time.time()) - options.minutes * 60
            sequence = _fill(feed, fleet, start_s)
            sequence = _until_settled(feed, fleet, sequence, start_s)
            token = _asking_for_tokens(feed, Path(directory)) if options.sessions else None
            rows = _measure(feed, fleet, sequence, start_s, token, options)
        finally:
            feed.product.stop()
    loads.append(os.getloadavg()[0])
    print(*table(rows), sep="\n")
    load = f"{min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores"
    print(f"\n{options.vms} VMs on {options.hosts} hosts, {options.minutes} minutes; load average {load}.")


def _fill(feed: Feed, fleet: Fleet, start_s: int) -> int:
    """Hand in all seconds until now; return how many batches each host has sent."""
    sequence, at_s = 0, start_s
    while at_s < int(time.time()) - 1:
        seconds = range(at_s, min(at_s + 20, int(time.time())))
        for batch in fleet.batches(seconds, sequence, start_s=start_s):
            feed.send(batch)
        sequence, at_s = sequence + 1, seconds.stop
        print(f"filled {at_s - start_s} s", end="\r", file=sys.stderr, flush=True)
    feed.end_s = at_s
    return sequence


def _until_settled(feed: Feed, fleet: Fleet, sequence: int, start_s: int) -> int:
    """Go on until the server has summed up what it was filled with, and judged once how long that is kept.

    Neither is a cost of a refresh: the first is done once, the second once an hour.
    """
    while any(_is_behind(level) or _is_unjudged(level) for level in feed.product.get("storage")["levels"]):
        sequence = _take_a_second(feed, fleet, sequence, start_s)
        print("summing up   ", end="\r", file=sys.stderr, flush=True)
    return sequence


def _is_unjudged(level: Mapping[str, Any]) -> bool:
    return level["age_s"] is not None and level["kept_from"] is None


def _is_behind(level: Mapping[str, Any]) -> bool:
    from_text = level["pending_from"]
    if from_text is None:
        return False
    length_s = int(level["bucket_s"])
    return time.time() - datetime.fromisoformat(from_text).timestamp() > 2 * length_s + _LATE_S


def _measure(
    feed: Feed,
    fleet: Fleet,
    sequence: int,
    start_s: int,
    token: str | None,
    options: argparse.Namespace,
) -> list[list[str]]:
    span_s = options.minutes * 60
    step_s = page_step_s(span_s)
    viewer = _page(feed, span_s * 1000, step_s * 1000, token)
    opened_ms = _cpu_ms(feed, lambda: viewer.refresh(int(time.time() * 1000)))
    requests, received = viewer.requests, viewer.received
    taken_ms: list[float] = []
    looked_ms: list[float] = []
    for _ in range(options.seconds):
        start_ms = _cpu_ms_of(feed)
        sequence = _take_a_second(feed, fleet, sequence, start_s)
        taken_ms.append(_cpu_ms_of(feed) - start_ms)
        looked_ms.append(_cpu_ms(feed, lambda: viewer.refresh(int(time.time() * 1000))))
    refreshes = len(looked_ms)
    requests, received = viewer.requests - requests, viewer.received - received
    together_ms: list[float] = []
    pages = [_page(feed, viewer.span_ms, viewer.step_ms, token) for _ in range(options.pages)]
    with ThreadPoolExecutor(len(pages)) as readers:
        for _ in range(options.seconds // 4 + 2):
            sequence = _take_a_second(feed, fleet, sequence, start_s)
            together_ms.append(_cpu_ms(feed, lambda: _all_refresh(readers, pages)))
    # When pages open, each asks for all.
    of_pages_ms = mean(together_ms[2:])
    return [
        ["", "measured", "limit"],
        ["a page that is opened, ms of CPU", f"{opened_ms:,.0f}", ""],
        ["a refresh, ms of CPU: mean", f"{mean(looked_ms):,.1f}", f"{LIMIT_MS:g}"],
        ["median", f"{median(looked_ms):,.1f}", ""],
        ["taking one second of batches, ms of CPU: mean", f"{mean(taken_ms):,.1f}", ""],
        ["requests of a refresh", f"{requests / refreshes:.1f}", ""],
        ["kB of a refresh, compressed", f"{received / refreshes / 1000:,.1f}", ""],
        [f"a refresh of {len(pages)} pages at once, ms of CPU", f"{of_pages_ms:,.0f}", ""],
        ["in terms of one", f"{of_pages_ms / mean(looked_ms):.1f}", f"{LIMIT_OF_PAGES:g}"],
    ]


def _asking_for_tokens(feed: Feed, directory: Path) -> str:
    """Start the server anew as one that asks for tokens, and return one to read with."""
    file = directory / "read.token"
    with closing(open_store(feed.product.database)) as store:
        create_token_file(store, TokenKind.READ, None, file, if_missing=False)
    feed.product.kill_server()
    feed.product.start_server("--host", "0.0.0.0", expect_collector=False)
    return file.read_text(encoding="utf-8").strip()


def _page(feed: Feed, span_ms: int, step_ms: int, token: str | None) -> Viewer:
    viewer = Viewer(feed.product.url.partition("//")[2], span_ms, step_ms)
    if token is not None:
        viewer.log_in(token)
    return viewer


def _all_refresh(readers: ThreadPoolExecutor, pages: Sequence[Viewer]) -> None:
    now_ms = int(time.time() * 1000)
    list(readers.map(lambda page: page.refresh(now_ms), pages))


def _take_a_second(feed: Feed, fleet: Fleet, sequence: int, start_s: int) -> int:
    """Hand in the second after the last one, once it is over."""
    time.sleep(max(0.0, feed.end_s + 1 - time.time()))
    for batch in fleet.batches(range(feed.end_s, feed.end_s + 1), sequence, start_s=start_s):
        feed.send(batch)
    feed.end_s += 1
    return sequence + 1


def _cpu_ms(feed: Feed, work: Callable[[], None]) -> float:
    """Return the server's CPU time while something is done."""
    start_ms = _cpu_ms_of(feed)
    work()
    return _cpu_ms_of(feed) - start_ms


def _cpu_ms_of(feed: Feed) -> float:
    assert feed.product.server is not None
    return cpu_ns(feed.product.server.pid) / NS_PER_MS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vms", type=int, default=560, help="%(default)s")
    parser.add_argument("--hosts", type=int, default=4, help="%(default)s")
    parser.add_argument("--minutes", type=int, default=15, help="range of the page (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="how long to measure (%(default)s)")
    parser.add_argument("--pages", type=int, default=200, help="that are open at once (%(default)s)")
    parser.add_argument("--sessions", action="store_true", help="each page has to show its session")
    return parser.parse_args()


if __name__ == "__main__":
    main()
