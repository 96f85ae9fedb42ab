# SPDX-License-Identifier: Apache-2.0
"""What Prometheus scrapes."""

from fastapi import APIRouter, Request, Response

from backend.api.reading import Question, ReadingRoute, question_of
from backend.api.services import ServicesDep
from faultmodel.exposition import form_of, written


class _MetricsRoute(ReadingRoute):
    """A route whose answers have a form that is negotiated: those of another form are others."""

    def _question(self, request: Request) -> Question:
        path, parameters = question_of(request.scope)
        return path, (*parameters, ("form", form_of(request.headers.get("accept", "")).value))


router = APIRouter(tags=["Metrics"], route_class=_MetricsRoute, include_in_schema=False)


@router.get("/metrics")
def show_metrics(request: Request, services: ServicesDep) -> Response:
    """Show everything that is counted, as text for Prometheus: docs/metrics.md."""
    services.refusals.write()
    form = form_of(request.headers.get("accept", ""))
    text = written(services.metrics.families(services.now_ns()), form)
    return Response(text, media_type=form.value, headers={"Vary": "Accept"})
