# SPDX-License-Identifier: Apache-2.0
"""How fast batches are written: through the server and by the store alone, beside the bare driver.

All write the same batches in turns, each way into an empty database of its own: the bare driver inserts ready
rows into a table of the same columns and key (``sqlite3.executemany``, PostgreSQL's binary ``COPY``), the
store applies decoded batches, and a real server process takes encoded ones over HTTP.

    python -m bench.ingest [--postgresql] [--records] [--turns 9] [--batches 20] [--seconds 30]

``--records`` writes records of single faults instead of counts, and then as many of one VM as 100,000 a
second make in ``--seconds``. ``--postgresql`` starts a PostgreSQL of its own, as durable as a real one.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from bench.writing.content import Content, Counts, Records, host_of
from bench.writing.table import lines
from bench.writing.turns import measure, sustain
from bench.writing.ways import Way, bare_driver, server, store_alone
from tests.postgresql import running_postgresql

HOSTS = 4
RECORDS_PER_S = 100_000

NewUrl = Callable[[], str]


def main() -> None:
    """Measure and print."""
    options = _options()
    content: Content = Records() if options.records else Counts()
    hosts = [host_of(number).name for number in range(HOSTS)]
    with _databases(postgresql=options.postgresql) as new_url:
        with ExitStack() as opened:
            ways = [opened.enter_context(way) for way in _ways(content, hosts, new_url)]
            taken = measure(
                ways, content, hosts=HOSTS, turns=options.turns, batches=options.batches, say=_say
            )
        rows = content.rows_per_batch * options.batches
        print(*lines(taken, rows), sep="\n", flush=True)
        if options.records:
            with server("server", new_url(), hosts[:1], at_once=False) as way:
                print(sustain(way, content, records=RECORDS_PER_S * options.seconds, say=_say))


def _ways(content: Content, hosts: Sequence[str], new_url: NewUrl) -> Iterator[AbstractContextManager[Way]]:
    yield bare_driver("bare driver", new_url(), content)
    yield store_alone("store alone", new_url())
    yield server("server, one batch at a time", new_url(), hosts, at_once=False)
    yield server(f"server, {len(hosts)} hosts at once", new_url(), hosts, at_once=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--records", action="store_true", help="of single faults, instead of counts")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--batches", type=int, default=20, help="of a turn")
    parser.add_argument("--seconds", type=int, default=30, help="of records of one VM, 100,000 a second")
    return parser.parse_args()


@contextmanager
def _databases(*, postgresql: bool) -> Iterator[NewUrl]:
    """Yield a function that returns the URL of a new, empty database."""
    if postgresql:
        with running_postgresql(is_durable=True) as running:
            yield lambda: running.url(running.new_database())
        return
    with tempfile.TemporaryDirectory() as directory:
        numbers = iter(range(sys.maxsize))
        yield lambda: f"sqlite:///{Path(directory) / f'{next(numbers)}.db'}"


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
