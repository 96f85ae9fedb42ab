# SPDX-License-Identifier: Apache-2.0
"""What an answer asks for several times, in each of its parts, is read once.

An answer is put together by many methods of the store, of which nearly each has to know from when on levels
are kept, say. They all read one state of the database: whatever was read once, is the same still.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row, Select

_Result = TypeVar("_Result")
_NONE: Mapping[str, Hashable] = MappingProxyType({})
_of_connection: WeakKeyDictionary[Connection, dict[Hashable, object]] = WeakKeyDictionary()


@contextmanager
def one_state(connection: Connection) -> Iterator[None]:
    """Keep what ``once`` reads until the end of the block: a transaction that sees one state."""
    _of_connection[connection] = {}
    try:
        yield
    finally:
        del _of_connection[connection]


def once(connection: Connection, what: Hashable, read: Callable[[], _Result]) -> _Result:
    """Return what ``read`` returns, or has returned to one who asked for the same.

    In a transaction that writes it is read each time. Whoever gets it changes nothing of it.

    :param what: equal for what has an equal result
    """
    known = _of_connection.get(connection)
    if known is None:
        return read()
    if what not in known:
        known[what] = read()
    return cast(_Result, known[what])


def rows_once(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Hashable] = _NONE
) -> Sequence[Row[Any]]:
    """Return the rows of a statement that is built once; lists among its parameters are tuples."""
    what = statement, tuple(parameters.items())
    return once(connection, what, lambda: connection.execute(statement, parameters).all())
