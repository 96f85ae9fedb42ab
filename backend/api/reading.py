# SPDX-License-Identifier: Apache-2.0
"""How readers' questions come to be answered: checked, in turn, within a time, equal ones once.

A question about a range that is over has the same answer for long: it is kept (``backend.query.closed``), and
whoever has it already is told so by its tag instead of being sent it again.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from backend.answers import HungUpError
from backend.api.access import client_address, require_reader
from backend.api.codings import codings_of
from backend.api.problems import problem_response
from backend.api.services import Services, services_of
from backend.api.shared_answers import SharedAnswer
from backend.errors import ParameterError
from backend.query.grid import make_grid
from backend.store.contract.values import TimeRange
from backend.times import is_relative, parse_duration, parse_time
from faultmodel.problem import ProblemCode

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_Question = tuple[str, tuple[tuple[str, str], ...]]


class ReadingRoute(APIRoute):
    """A route that reads from the store. All who may read may read all: an answer is the same for each."""

    def __init__(self, path: str, endpoint: Callable[..., BaseModel], **described: Any) -> None:  # noqa: ANN401 - APIRoute's
        super().__init__(path, _written(endpoint), **described)

    def get_route_handler(self) -> _Handler:
        """Return what answers a request."""
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            await require_reader(request)
            services = services_of(request)
            question = request.url.path, tuple(sorted(request.query_params.multi_items()))
            try:
                made = await services.answers.answer(
                    question,
                    client_address(request),
                    lambda: self._made(make, request, question, services),
                    lambda: _has_hung_up(request),
                )
            except HungUpError:
                return problem_response(400, ProblemCode.INCOMPLETE, "nobody waits for this answer")
            coding = next(iter(codings_of(request.headers.get("accept-encoding", ""))), None)
            known_tags = request.headers.get("if-none-match", "")
            if made.is_packed_in(coding):
                return made.response(coding, known_tags)
            return await to_thread.run_sync(made.response, coding, known_tags)

        return answer

    async def _made(
        self, make: _Handler, request: Request, question: _Question, services: Services
    ) -> SharedAnswer:
        return SharedAnswer(await make(request))


class RangeRoute(ReadingRoute):
    """A route whose answers depend on nothing but what was counted and recorded in their range of time."""

    async def _made(
        self, make: _Handler, request: Request, question: _Question, services: Services
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


def size_of(answer: SharedAnswer) -> int | None:
    """Return the bytes of an answer, None of one that is not kept."""
    return len(answer.body) if answer.is_final else None


def _written(endpoint: Callable[..., BaseModel]) -> Callable[..., Response]:
    """Have an answer written by the thread that makes it. FastAPI would have another one check it before."""

    @wraps(endpoint)
    def answer(**parameters: object) -> Response:
        return Response(endpoint(**parameters).model_dump_json(), media_type="application/json")

    return answer


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
        end_ms = make_grid(TimeRange(from_ms, to_ms), now_ms, step_ms).to_ms
    except ParameterError:
        # The endpoint says what is wrong.
        return None
    return end_ms if end_ms <= now_ms else None


async def _has_hung_up(request: Request) -> None:
    """Return when the client has gone. What is asked this way has no body to read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
