# SPDX-License-Identifier: Apache-2.0
"""Statements sent to PostgreSQL without waiting for those before them, by psycopg's pipeline.

A batch takes two dozen statements, half of which return nothing: to wait for the end of each takes longer
than most of them do. In a pipeline they lie in the connection one after the other, and whoever reads rows
waits for all before it. ``COPY`` has to be alone: it interrupts the pipeline.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExecutionContext

_PIPELINE = "pipeline"
"""Of a connection's ``info``: the pipeline that is open."""


class Ahead:
    """The pipeline of a transaction, while one is open."""

    def __init__(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver = driver
        # Asked for now: it cannot be, once the connection is broken.
        self._info = connection.info
        self._opened: ExitStack | None = None

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send statements ahead until the end of the block, and wait for all of them there."""
        with ExitStack() as self._opened:
            self._enter(self._opened)
            try:
                yield
            finally:
                self._opened = None
                self._info.pop(_PIPELINE, None)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Wait for what was sent, and send nothing ahead within the block."""
        opened = self._opened
        if opened is None:
            yield
            return
        del self._info[_PIPELINE]
        opened.close()
        try:
            yield
        finally:
            if not self._driver.closed:
                self._enter(opened)

    def _enter(self, opened: ExitStack) -> None:
        self._info[_PIPELINE] = opened.enter_context(self._driver.pipeline())


def wait_for_rows(engine: Engine) -> None:
    """Have whoever executes a statement that returns rows wait for it, in a pipeline too."""

    def wait(
        connection: Connection,
        _cursor: object,
        _statement: str,
        _parameters: object,
        context: ExecutionContext | None,
        _executemany: bool,
    ) -> None:
        pipeline = connection.info.get(_PIPELINE)
        if pipeline is not None and _returns_rows(context):
            pipeline.sync()

    event.listen(engine, "after_cursor_execute", wait)


def _returns_rows(context: Any) -> bool:  # noqa: ANN401 - what SQLAlchemy says of it is not typed
    if context is None or context.compiled is None or context.is_text:
        return True  # As far as one can know.
    return context.compiled.statement.is_select or bool(context.compiled.effective_returning)
