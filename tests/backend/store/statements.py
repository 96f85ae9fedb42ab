# SPDX-License-Identifier: Apache-2.0
"""Which statements the store executes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event


@contextmanager
def asked() -> Iterator[list[str]]:
    """Return the statements that are executed within the block."""
    texts: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        texts.append(statement)

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        yield texts
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
