# SPDX-License-Identifier: Apache-2.0
"""Answers that are there already, or being made: sent without the way through routes and parameters.

Where a hundred pages show the same they ask the same, word for word. What one of them was answered has passed
every check; who the others are is all that is left to be checked.
"""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.access import check_reader
from backend.api.problems import not_now_response
from backend.api.reading import question_of, response_to
from backend.api.services import Services
from backend.errors import BusyError, TooLongError


class Ready:
    """Around the whole application, within what holds for every request."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answers = self._services.answers
        if scope["type"] != "http" or scope["method"] != "GET" or not answers.is_known(question_of(scope)):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            if self._services.settings.requires_tokens:
                await check_reader(request, self._services)
            response = await response_to(request, lambda gone: answers.known(question_of(scope), gone))
        except (BusyError, TooLongError) as exc:
            response = not_now_response(exc)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the application says so
            await self._app(scope, receive, send)
            return
        await response(scope, receive, send)
