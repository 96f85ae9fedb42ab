# SPDX-License-Identifier: Apache-2.0
"""How readers' questions come to be answered: checked, in turn, within a time, equal ones once.

A question about a range that is over has the same answer for long: it is kept (``backend.query.closed``), and
whoever has it already learns so by its tag, and is not sent it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache, wraps
from typing import Any, get_type_hints
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.datastructures import QueryParams
from starlette.types import Scope

from backend.answers import HungUpError
from backend.api.access import client_address, require_reader
from backend.api.codings import codings_of
from backend.api.exports.formats import MEDIA_TYPES, Format
from backend.api.exports.rows import RowsOf, rows_of
from backend.api.exports.sending import file_of
from backend.api.parameters import MAX_LIMIT
from backend.api.problems import problem_response
from backend.api.services import Services, services_of
from backend.api.shared_answers import SharedAnswer
from backend.clients import share_of
from backend.errors import ParameterError
from backend.query.covering import STALE_MS
from backend.query.grid import make_grid
from backend.store.contract.levels import AFTER_ALL_S, LENGTHS_S, Levels
from backend.store.contract.retention import LEAST_S
from backend.store.contract.values import TimeRange
from backend.times import is_relative, parse_duration, parse_time
from faultmodel.problem import ProblemCode
from faultmodel.units import MS_PER_S

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_ANY_LEVELS = [
    Levels(kept_from_s=dict.fromkeys(LENGTHS_S[:kept], AFTER_ALL_S)) for kept in range(len(LENGTHS_S))
]
"""Whichever is the finest level that is kept."""
Question = tuple[str, tuple[tuple[str, str], ...]]


class ReadingRoute(APIRoute):
    """A route that reads from the store. All who may read may read all: an answer is the same for each."""

    def __init__(self, path: str, endpoint: Callable[..., BaseModel | Response], **described: Any) -> None:  # noqa: ANN401 - APIRoute's
        super().__init__(path, _written(endpoint), **described)
        self._rows_of = rows_of(get_type_hints(endpoint)["return"])

    def get_route_handler(self) -> _Handler:
        """Return what answers a request."""
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            await require_reader(request)
            if self._rows_of is not None and (form := _file_format(request)) is not None:
                return await self._file(form, self._rows_of, make, request)
            return await response_to(request, lambda gone: self._shared(make, request, gone))

        return answer

    async def _shared(
        self, make: _Handler, request: Request, hung_up: Callable[[], Awaitable[None]]
    ) -> SharedAnswer:
        services = services_of(request)
        question = self._question(request)
        return await services.answers.answer(
            question,
            share_of(client_address(request)),
            lambda: self._made(make, request, question, services),
            hung_up,
        )

    def _question(self, request: Request) -> Question:
        return question_of(request.scope)

    async def _made(
        self, make: _Handler, request: Request, question: Question, services: Services
    ) -> SharedAnswer:
        return SharedAnswer(await make(request))

    async def _file(self, form: Format, rows_of: RowsOf, make: _Handler, request: Request) -> Response:
        """Answer with every row that there is, page after page of one range."""
        pinned = _pinned(request, services_of(request).now_ms, has_pages=rows_of.has_pages)
        limit = request.query_params.get("limit", "")
        most = int(limit) if limit.isdecimal() else None

        async def read(cursor: str | None) -> bytes | Response:
            page = pinned if cursor is None else {**pinned, "cursor": cursor}
            query = [(name, value) for name, value in request.query_params.multi_items() if name not in page]
            scope = {**request.scope, "query_string": urlencode([*query, *page.items()]).encode()}
            # Whoever hangs up ends the sending, and with it this.
            made = await self._shared(make, Request(scope, request.receive), _for_ever)
            return made.body if made.is_final else made.response(None, "")

        return await file_of(form, f"kvmfaults-{self.path.rpartition('/')[2]}", rows_of, read, most)


class RangeRoute(ReadingRoute):
    """A route whose answers depend on nothing but what was counted and recorded in their range of time."""

    async def _made(
        self, make: _Handler, request: Request, question: Question, services: Services
    ) -> SharedAnswer:
        to_ms = _end_of_closed(request, services.now_ms)
        if to_ms is None:
            return await super()._made(make, request, question, services)
        closed = services.closed_answers
        kept, version = await to_thread.run_sync(closed.find, question, to_ms)
        if kept is not None:
            return kept
        made = SharedAnswer(await make(request), may_be_kept=True)
        if made.is_final:
            closed.keep(question, made, version, len(made.body))
        return made


async def response_to(
    request: Request, ask: Callable[[Callable[[], Awaitable[None]]], Awaitable[SharedAnswer]]
) -> Response:
    """Return the response to one of those who get an answer.

    :param ask: returns the answer; it is given what returns when the client has gone
    """
    try:
        made = await ask(lambda: _has_hung_up(request))
    except HungUpError:
        return problem_response(400, ProblemCode.INCOMPLETE, "nobody waits for this answer")
    coding = next(iter(codings_of(request.headers.get("accept-encoding", ""))), None)
    return await made.packed_response(coding, request.headers.get("if-none-match", ""))


def question_of(scope: Scope) -> Question:
    """Return what a request asks, equal for equal questions."""
    return _question(scope["path"], scope["query_string"])


@lru_cache(maxsize=256)
def _question(path: str, query: bytes) -> Question:
    # Whoever follows something asks as others do, word for word.
    return path, tuple(sorted(QueryParams(query).multi_items()))


def size_of(answer: SharedAnswer) -> int | None:
    """Return the bytes of an answer, None of one that is not kept."""
    return len(answer.body) if answer.is_final else None


def _written(endpoint: Callable[..., BaseModel | Response]) -> Callable[..., Response]:
    """Have an answer written by the thread that makes it. FastAPI would have another one check it before."""

    @wraps(endpoint)
    def answer(**parameters: object) -> Response:
        made = endpoint(**parameters)
        return made if isinstance(made, Response) else Response(to_json(made), media_type="application/json")

    return answer


def _file_format(request: Request) -> Format | None:
    """Return the format of the file that is asked for; None for JSON, and for what is refused as it is."""
    formats = request.query_params.getlist("format")
    known = [form for form in MEDIA_TYPES if formats == [form]]
    return known[0] if known else None


def _pinned(request: Request, now_ms: int, *, has_pages: bool) -> dict[str, str]:
    """Return the parameters of a file's pages that are others than those of the request.

    The range of the pages does not move with now. What is given twice stays, and is refused.
    """
    pinned = {"format": Format.JSON.value}
    for name in ("from", "to"):
        texts = request.query_params.getlist(name)
        if len(texts) == 1 and is_relative(texts[0]):
            pinned[name] = str(parse_time(name, texts[0], now_ms))
    if has_pages and "limit" not in request.query_params:
        pinned["limit"] = str(MAX_LIMIT)
    return pinned


def _end_of_closed(request: Request, now_ms: int) -> int | None:
    """Return the end, UTC ms, of all that an answer is about; None where it is not over or moves with now.

    What is asked in steps is answered in whole ones, of which the last may end after the range.
    """
    asked = request.query_params
    texts = [asked.get(name, "now") for name in ("from", "to")]
    # What a VM's state was is known better once more is known of it.
    if any(is_relative(text) for text in texts) or "state" in asked:
        return None
    try:
        from_ms, to_ms = (parse_time("", text, now_ms) for text in texts)
        step_ms = parse_duration("", asked["step"]) if "step" in asked else None
        # Of what is older than an hour, longer buckets may be all that is kept; which, changes with time.
        kept = _ANY_LEVELS if from_ms < now_ms - LEAST_S * MS_PER_S else _ANY_LEVELS[:1]
        span = TimeRange(from_ms, to_ms)
        ends = [make_grid(levels.whole(span), now_ms, step_ms, levels, coarser=True).to_ms for levels in kept]
        end_ms = max(ends)
    except ParameterError:
        # The endpoint says what is wrong.
        return None
    # What was not covered until then shows as such only once its host should have been heard of.
    return end_ms if end_ms <= now_ms - STALE_MS else None


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _has_hung_up(request: Request) -> None:
    """Return when the client has gone. What is asked this way has no body to read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
