# SPDX-License-Identifier: Apache-2.0
"""How readers' questions come to be answered: checked, in turn, within a time, equal ones once."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from backend.answers import HungUpError
from backend.api.access import client_address, require_reader
from backend.api.problems import problem_response
from backend.api.services import services_of
from faultmodel.problem import ProblemCode

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ReadingRoute(APIRoute):
    """A route that reads from the store. All who may read may read all: an answer is the same for each."""

    def __init__(self, path: str, endpoint: Callable[..., BaseModel], **described: Any) -> None:  # noqa: ANN401 - APIRoute's
        super().__init__(path, _written(endpoint), **described)

    def get_route_handler(self) -> _Handler:
        """Return what answers a request."""
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            await require_reader(request)
            question = request.url.path, tuple(sorted(request.query_params.multi_items()))
            try:
                made = await services_of(request).answers.answer(
                    question, client_address(request), lambda: make(request), lambda: _has_hung_up(request)
                )
            except HungUpError:
                return problem_response(400, ProblemCode.INCOMPLETE, "nobody waits for this answer")
            # What sends it may add headers of its own.
            copy = Response(made.body, made.status_code)
            copy.raw_headers = list(made.raw_headers)
            return copy

        return answer


def _written(endpoint: Callable[..., BaseModel]) -> Callable[..., Response]:
    """Have an answer written by the thread that makes it. FastAPI would have another one check it before."""

    @wraps(endpoint)
    def answer(**parameters: object) -> Response:
        return Response(endpoint(**parameters).model_dump_json(), media_type="application/json")

    return answer


def size_of(answer: Response) -> int | None:
    """Return the bytes of an answer, None of one that is not kept."""
    return len(answer.body) if answer.status_code == 200 else None


async def _has_hung_up(request: Request) -> None:
    """Return when the client has gone. What is asked this way has no body to read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
