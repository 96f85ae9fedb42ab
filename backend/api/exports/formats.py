# SPDX-License-Identifier: Apache-2.0
"""The formats that lists and rates come in."""

from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """``json`` is a page of a list with its cursor; the others are files with all of its rows."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


MEDIA_TYPES = {
    # RFC 4180 and 7111.
    Format.CSV: "text/csv; charset=utf-8",
    Format.NDJSON: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}
FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            **{
                media_type.partition(";")[0]: {"schema": {"type": "string", "description": "UTF-8"}}
                for form, media_type in MEDIA_TYPES.items()
                if form is not Format.PARQUET
            },
            MEDIA_TYPES[Format.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}
"""The files in the description of what a resource answers."""
