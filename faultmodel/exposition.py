# SPDX-License-Identifier: Apache-2.0
"""Metrics as text, in the two forms that Prometheus reads, and which of them a client takes.

Sources: prometheus.io/docs/instrumenting/exposition_formats (text 0.0.4); OpenMetrics 1.0.0. Written here, as
the usual library takes several times as long for 500 VMs as a scrape may (bench/README.md).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple


class Kind(StrEnum):
    """What a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Family(NamedTuple):
    """Metrics of one name. ``name``: as it is asked for, with ``_total`` or ``_info``; of a histogram without
    ``_bucket``. ``unit``: a base unit that the name ends with, but for ``_total``; empty where it has none.
    """

    name: str
    kind: Kind
    labels: Sequence[str]
    help: str
    unit: str = ""

    @property
    def base(self) -> str:
        """Its name without what says that it is a counter, or of names."""
        return self.name.removesuffix({Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, ""))


class Buckets(NamedTuple):
    """A histogram. ``counts``: of each bucket alone, in the order of ``EDGES_S``, and then of what is above
    them all. ``total``: the sum of all values."""

    counts: Sequence[int]
    total: float


Row = tuple[Sequence[str], int | float | Buckets]
"""The values of the labels, and that of the metric."""


class Form(StrEnum):
    """A form of text, by its media type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


EDGES_S = tuple(2**power / 1_000_000 for power in range(24))
"""Where buckets of histograms end, s: 1 µs to 8.4 s, each twice the one before."""
_EDGES = (*(f"{edge!r}" for edge in EDGES_S), "+Inf")
_QUALITY = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.ASCII)
_VERSIONS = frozenset({"0.0.1", "1.0.0"})


def form_of(accept: str) -> Form:
    """Return the form that a client prefers by its header Accept (RFC 9110, 12.5.1): text in doubt."""
    best, found = 0.0, Form.TEXT
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality, version = 1.0, "1.0.0"
        for parameter in parameters:
            if match := _QUALITY.fullmatch(parameter):
                quality = float(match[1])
            elif parameter.startswith("version="):
                version = parameter.removeprefix("version=").strip('"')
        if name == "application/openmetrics-text" and version in _VERSIONS:
            form = Form.OPEN_METRICS
        elif name in ("text/plain", "text/*", "*/*"):
            form = Form.TEXT
        else:
            continue
        if quality > best:
            best, found = quality, form
    return found


def written(families: Iterable[tuple[Family, Iterable[Row]]], form: Form) -> str:
    """Return metrics as text. Families without any value are left out."""
    lines: list[str] = []
    for family, rows in families:
        values = list(_values(family, rows))
        if values:
            lines += _heading(family, form)
            lines += values
    if form is Form.OPEN_METRICS:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def _heading(family: Family, form: Form) -> Iterator[str]:
    if form is Form.OPEN_METRICS:
        name, kind = family.base, family.kind.value
    else:
        name = family.name
        kind = Kind.GAUGE.value if family.kind is Kind.INFO else family.kind.value
    yield f"# HELP {name} {_escaped(family.help)}"
    yield f"# TYPE {name} {kind}"
    if form is Form.OPEN_METRICS and family.unit:
        yield f"# UNIT {name} {family.unit}"


def _values(family: Family, rows: Iterable[Row]) -> Iterator[str]:
    name = family.name
    for labels, value in rows:
        named = ",".join(
            f'{label}="{_escaped(text)}"' for label, text in zip(family.labels, labels, strict=True)
        )
        if not isinstance(value, Buckets):
            yield f"{name}{{{named}}} {value!r}" if named else f"{name} {value!r}"
            continue
        of_bucket = f"{name}_bucket{{{named}{',' if named else ''}le="
        last = 0
        for edge, last in zip(_EDGES, accumulate(value.counts), strict=True):
            yield f'{of_bucket}"{edge}"}} {last}'
        whole = f"{{{named}}}" if named else ""
        yield f"{name}_sum{whole} {value.total!r}"
        yield f"{name}_count{whole} {last}"


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return text
