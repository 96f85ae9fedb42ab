# SPDX-License-Identifier: Apache-2.0
"""The command that shows and sets how long what is stored is kept."""

import argparse
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import NamedTuple

from backend.errors import RetentionError, SettingError
from backend.store import open_store
from backend.store.contract.retention import BY_LENGTH_S, DEFAULT_S, Kept
from backend.store.contract.storage import FreeSpace, Size, Storage, StoredLevel, StoredRecords
from backend.store.contract.store import Store
from backend.times import rfc3339_ns
from faultmodel.units import NS_PER_S

_FOR_EVER = "forever"
_UNITS_S: Mapping[str, int] = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_AGE = re.compile(rf"(\d{{1,6}})([{''.join(_UNITS_S)}])")
_SET = "NAME=AGE"
_ANY = "unlimited"
_SIZE_UNITS: Mapping[str, int] = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(rf"(\d{{1,6}})({'|'.join(_SIZE_UNITS)})")
_FREE_SPACE: Mapping[FreeSpace, str] = {
    FreeSpace.GIVEN_BACK: "it gets smaller as things are removed",
    FreeSpace.KEPT_UNTIL_COMPACTED: "new rows take what is free, but the file does not get smaller: it was "
    "made by an earlier release. --compact writes it anew once, and it does from then on",
    FreeSpace.REUSED: "partitions of old times go with their files, and new rows take the space of other "
    "rows that are removed",
}


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_database: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "retention",
        help="show and set how long what is stored is kept",
        description="Counts are kept in buckets of several lengths: the shorter, the less long. Records of "
        "single exits and faults are kept by themselves. A server removes what is older, in parts. What is "
        "removed does not come back. Recordings that were imported are kept whole.",
    )
    parser.add_argument(
        "ages",
        nargs="*",
        metavar=_SET,
        help=f"keep so long from now on: NAME is {', '.join(Kept)}; AGE is {_FOR_EVER}, or a number with "
        "h, d, w or y, as in 1min=30d. Shown alone where none is given",
    )
    parser.add_argument(
        "--defaults",
        action="store_true",
        help="keep everything as long as a new database does, and let it take as much, but for what is given "
        "beside it",
    )
    parser.add_argument(
        "--max-bytes",
        metavar="SIZE",
        help=f"have all that is stored take so much at most, as 500MB, 10GB or 2TB, or {_ANY}. Beyond, the "
        "oldest counts of the shortest buckets go first, and the oldest records of faults with them",
    )
    parser.add_argument(
        "--compact",
        action="store_true",
        help="write an SQLite file anew, without what is free in it: from then on it gets smaller by itself. "
        "Nothing else is written meanwhile, and as much space again is needed twice",
    )
    parser.set_defaults(command=_run)
    add_database(parser)


def _run(options: argparse.Namespace) -> None:
    if options.database is None:
        raise SettingError("no database named; give --database URL or set KVMFAULTS_DATABASE")
    most = None if options.max_bytes is None else _parse_size(options.max_bytes)
    ages_s = {**(DEFAULT_S if options.defaults else {}), **dict(map(_parse, options.ages))}
    with closing(open_store(str(options.database), options.series)) as store:
        store.check_schema()
        if ages_s:
            store.set_ages(ages_s)
        if most is not None:
            store.set_max_bytes(most.bytes)
        elif options.defaults:
            store.reset_max_bytes()
        if options.compact:
            _compact(store)
        _show(store.storage())


def _compact(store: Store) -> None:
    seconds, found = store.seconds_to_compact(), store.storage()
    print(
        f"writing {found.bytes - (found.free_bytes or 0):,} of {found.bytes:,} bytes anew: that takes some "
        f"{seconds} s, and hosts keep their batches meanwhile",
        flush=True,
    )
    store.compact()


def _parse(text: str) -> tuple[Kept, int | None]:
    name, separator, age = text.partition("=")
    if not separator or name not in set(Kept):
        raise RetentionError(f"{text!r} is not {_SET}; NAME is one of {', '.join(Kept)}, as in 1min=30d")
    if age == _FOR_EVER:
        return Kept(name), None
    found = _AGE.fullmatch(age)
    if found is None:
        raise RetentionError(f"{text!r}: an age is {_FOR_EVER}, or a number with h, d, w or y, as in 30d")
    return Kept(name), int(found[1]) * _UNITS_S[found[2]]


class _Size(NamedTuple):
    """None for any number."""

    bytes: int | None


def _parse_size(text: str) -> _Size:
    if text == _ANY:
        return _Size(None)
    found = _SIZE.fullmatch(text)
    if found is None:
        raise RetentionError(f"{text!r}: a size is {_ANY}, or a number with MB, GB or TB, as in 10GB")
    return _Size(int(found[1]) * _SIZE_UNITS[found[2]])


def _show(found: Storage) -> None:
    for level in found.levels:
        kept = BY_LENGTH_S[level.length_s]
        line = f"{kept:<6} counts in buckets of {kept:<6} {_kept(level)}"
        if level.pending_from_s is not None:
            line += f"; to be summed up from {_time(level.pending_from_s)}"
        print(line)
        for metric, size in level.sizes.items():
            print(f"         {metric:<26} {_size(size)}")
    for kept, what, records in (
        (Kept.EXITS, "records of exits", found.exits),
        (Kept.FAULTS, "records of faults", found.faults),
    ):
        print(f"{kept:<6} {what:<28} {_kept(records)}")
        print(f"         {'':<26} {_size(records.size)}")
    free = "" if found.free_bytes is None else f", of which {found.free_bytes:,} are free"
    print(f"the database takes {found.bytes:,} bytes{free}; {_FREE_SPACE[found.free_space]}")
    about = "about " if found.used_is_about else ""
    most = "it may take any number" if found.max_bytes is None else f"it may take {found.max_bytes:,}"
    print(f"what is stored takes {about}{found.used_bytes:,} bytes; {most}")
    ages_s = [*(level.age_s for level in found.levels), found.exits.age_s, found.faults.age_s]
    if not any(ages_s) and found.max_bytes is None:
        print("all is kept for ever, and the database grows; --defaults sets ages")


def _size(size: Size) -> str:
    if size.rows is None or size.bytes is None or size.measured_ns is None:
        return "not measured yet; a server does"
    about = "about " if size.is_about else ""
    return f"{about}{size.rows:,} rows, {size.bytes:,} bytes ({_time(size.measured_ns // NS_PER_S)})"


def _kept(one: StoredLevel | StoredRecords) -> str:
    since = "nothing removed yet" if one.kept_from_s is None else f"kept from {_time(one.kept_from_s)}"
    return f"{_age(one.age_s):<10} {since}"


def _age(age_s: int | None) -> str:
    if age_s is None:
        return _FOR_EVER
    unit = [name for name, length_s in _UNITS_S.items() if not age_s % length_s][-1]
    return f"{age_s // _UNITS_S[unit]}{unit}"


def _time(time_s: int) -> str:
    return f"{rfc3339_ns(time_s * NS_PER_S)[:19]}Z"
