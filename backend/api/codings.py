# SPDX-License-Identifier: Apache-2.0
"""Content codings: which one a client takes, and content in it. Sources: RFC 9110, 12.5.3; RFC 8878."""

import gzip
import re
from collections.abc import Sequence
from enum import StrEnum

import zstandard

LEAST_BYTES = 1_000
"""Under that, what a packet holds is sent either way."""
GZIP_LEVEL = 4
"""Of an answer that is made once: most of what there is to gain, at a third of the time of level 9."""
_REFUSED = re.compile(r"\s*q\s*=\s*0(\.0{0,3})?\s*", re.ASCII)


class Coding(StrEnum):
    """A way to compress, as HTTP names it; first what takes less time and fewer bytes."""

    ZSTD = "zstd"
    GZIP = "gzip"


def codings_of(accept_encoding: str) -> Sequence[Coding]:
    """Return the codings that whoever asks takes, by the header; that to be preferred first."""
    items = (item.partition(";") for item in accept_encoding.split(","))
    accepted = {name.strip().lower() for name, _, weight in items if not _REFUSED.fullmatch(weight)}
    return [coding for coding in Coding if coding in accepted]


def compress(content: bytes, coding: Coding) -> bytes:
    """Return content that is made once and read once, compressed."""
    if coding is Coding.ZSTD:
        return zstandard.compress(content)
    return gzip.compress(content, GZIP_LEVEL, mtime=0)
