# SPDX-License-Identifier: Apache-2.0
"""The command that copies all that is stored from one database to another, of whatever kind."""

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING, cast

from backend.errors import SettingError
from backend.store import open_store

if TYPE_CHECKING:
    from backend.store.sql.store import SqlStore

_PROGRESS_LINES = 10


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "copy",
        help="copy all that is stored to another, empty database",
        description="Copies hosts, VMs, tokens, counts and records, so that a server goes on with the target"
        " as it would have with the source. Stop the servers of the source first; collectors keep what they"
        " have meanwhile. The target is migrated. A copy that ends half-way goes on with the same command. At"
        " the end rows and sums of both are compared.",
    )
    parser.add_argument("--from", dest="source", metavar="URL", required=True, help="the database to copy")
    parser.add_argument("--from-series", metavar="URL", help="its series, where that is in ClickHouse")
    parser.add_argument("--to", dest="target", metavar="URL", required=True, help="an empty database")
    parser.add_argument(
        "--to-series", metavar="URL", help="an empty one in ClickHouse, for counts and records"
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from backend.store.sql.copying import copy
    from backend.store.sql.migrate import migrate

    if options.source == options.target:
        raise SettingError("--from and --to name the same database")
    with closing(_open(options.source, options.from_series)) as source:
        source.check_schema()
        migrate(options.target)
        with closing(_open(options.target, options.to_series)) as target:
            if options.to_series is not None:
                target.prepare()
            found = copy(source, target, _Progress())
    rows = sum(number for _, number in found)
    print(f"copied {rows:,} rows of {sum(number > 0 for _, number in found)} tables; totals are equal")


def _open(url: str, series: str | None) -> "SqlStore":
    return cast("SqlStore", open_store(url, series))


class _Progress:
    """Prints some lines for each table, on standard error."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] = "", 0

    def __call__(self, table: str, done: int, whole: int) -> None:
        if not whole:
            return
        part = done * _PROGRESS_LINES // whole
        if (table, part) != self._shown:
            self._shown = table, part
            print(f"{table}: {done:,} of {whole:,} rows", file=sys.stderr, flush=True)
