# SPDX-License-Identifier: Apache-2.0
"""Sends a file while it is read: page after page of the list, each a question like any other reader's.

In memory is one page, and what the format needs. A client that reads slowly holds up nobody: no connection
and no thread is its own between two pages. Where a page cannot be read after all, the transfer is cut off:
no client takes a part for the whole.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from anyio import to_thread
from pydantic_core import from_json
from starlette.responses import Response, StreamingResponse

from backend.api.exports.columns import columns_of
from backend.api.exports.formats import MEDIA_TYPES, Format
from backend.api.exports.rows import RowsOf
from backend.api.exports.writers import Rows, rows_in
from backend.errors import BusyError, StoreError

_TRIES = 60
_PAUSE_S = 1.0

ReadPage = Callable[[str | None], Awaitable[bytes | Response]]
"""Reads the page at a cursor, None for the first; another answer than a page is returned as it is."""


async def file_of(
    form: Format, name: str, rows_of: RowsOf, read: ReadPage, most: int | None = None
) -> Response:
    """Return the answer that sends a list as a file.

    :param name: of the file, without its ending
    :param most: so many rows at most; None for all
    :raises ParameterError: this server cannot write the format
    """
    rows = await to_thread.run_sync(rows_in, form, columns_of(rows_of.model))
    first = await read(None)
    if isinstance(first, Response):
        return first
    return StreamingResponse(
        _pieces(rows, first, read, rows_of, most),
        media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}.{form}"'},
    )


async def _pieces(
    rows: Rows, first: bytes, read: ReadPage, rows_of: RowsOf, most: int | None
) -> AsyncIterator[bytes]:
    left = most
    body = first

    def written() -> tuple[bytes, int, str | None]:
        page = from_json(body)
        items = rows_of.items(page)[:left]
        return rows.add(items), len(items), page.get("next_cursor")

    while True:
        piece, count, cursor = await to_thread.run_sync(written)
        if piece:
            yield piece
        left = None if left is None else left - count
        if cursor is None or left == 0:
            break
        body = await _read_again(read, cursor)
    yield await to_thread.run_sync(rows.end)


async def _read_again(read: ReadPage, cursor: str) -> bytes:
    """Read a page; while others are served, or the database is away, wait.

    :raises BackendError: it cannot be read for long, or is not there any more
    """
    for _ in range(_TRIES):
        try:
            found = await read(cursor)
        except (BusyError, StoreError):
            found = None
        if isinstance(found, bytes):
            return found
        await asyncio.sleep(_PAUSE_S)
    raise BusyError("the rest of the list could not be read in time")
