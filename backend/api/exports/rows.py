# SPDX-License-Identifier: Apache-2.0
"""What the rows of a file are, by what a resource answers: the items of a list, or the points of a chart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from fastapi import Response
from pydantic import BaseModel, Field

from backend.api import schemas
from backend.api.exports.columns import Item
from backend.times import rfc3339_ms

Page = Any
"""What a resource answers, as JSON has it."""


class RatePoint(BaseModel):
    """A series in a step. Steps of which nothing is known have no value, and a count of 0."""

    time: str = Field(description="Start of the step", json_schema_extra={"format": "date-time"})
    key: str = Field(description="As in `series`; empty for the series beyond the most, added up")
    label: str
    count: int
    value: float | None


@dataclass(frozen=True, slots=True)
class RowsOf:
    """``model``: of the rows. ``items``: those of a page. ``has_pages``: an answer may be one of several."""

    model: type[BaseModel]
    items: Callable[[Page], Sequence[Item]]
    has_pages: bool


def rows_of(answer: type[BaseModel] | type[Response]) -> RowsOf | None:
    """Return what the rows of a file are; None for an answer that is no list."""
    if issubclass(answer, Response):
        return None
    if answer is schemas.Rates:
        return RowsOf(RatePoint, _points, has_pages=False)
    fields = answer.model_fields
    if not {"items", "next_cursor"} <= fields.keys():
        return None
    (model,) = get_args(fields["items"].annotation)
    return RowsOf(model, lambda page: page["items"], has_pages=True)


def _points(rates: Page) -> Sequence[Item]:
    times = [rfc3339_ms(time_ms) for time_ms in rates["times_ms"]]
    series = list(rates["series"])
    if others := rates["others"]:
        series.append({**others, "key": "", "label": f"{others['count']} others"})
    return [
        {"time": time, "key": one["key"], "label": one["label"], "count": count, "value": value}
        for number, time in enumerate(times)
        for one in series
        for count, value in [(one["counts"][number], one["values"][number])]
    ]
