# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.soak``: the long-running test, in its nightly form or of any other length."""

import argparse
import contextlib
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.postgresql import PostgresqlError, running_postgresql
from tests.soak.database import Database, PostgresqlDatabase, SqliteDatabase
from tests.soak.plan import make_plan
from tests.soak.run import soak


def main() -> int:
    """Run it; the exit status is 1 where anything differs from the truth."""
    options = _options()
    plan = make_plan(options.seed, options.kills, damage=options.damage)
    print(f"soak: {options.kills} kills, {options.database}, --seed {options.seed}", flush=True)
    directory = options.keep or Path(tempfile.mkdtemp(prefix="kvmfaults-soak-"))
    directory.mkdir(exist_ok=True)
    try:
        with _database(options.database, directory) as database:
            verdict = soak(directory, database, plan, options.seed, lambda line: print(line, flush=True))
    except PostgresqlError as exc:
        print(f"soak: {exc}", file=sys.stderr)
        return 2
    print(verdict)
    if verdict.differences:
        print(f"soak: {len(verdict.differences)} differences with --seed {options.seed}; logs in {directory}")
        return 1
    if options.keep is None:
        shutil.rmtree(directory)
    print(f"soak: every fault of every guest is accounted for, --seed {options.seed}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=_kills, default=200, help="of server and collector together (200)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="of the plan (random)")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--damage", action="store_true", help="cut off batches in the spool, too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to keep database, spool and logs")
    return parser.parse_args()


def _kills(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


@contextlib.contextmanager
def _database(kind: str, directory: Path) -> Iterator[Database]:
    if kind == "sqlite":
        yield SqliteDatabase(directory / "kvmfaults.db")
        return
    with running_postgresql() as server:
        yield PostgresqlDatabase(server)


if __name__ == "__main__":
    sys.exit(main())
