# SPDX-License-Identifier: Apache-2.0
"""What a server's answer means for the batch that was sent.

Only two answers are final, and both must prove that they are kvmfaults' own: a receipt, after which the batch
is deleted, and a problem body with the code ``damaged``, after which it is put aside. Both name their batch:
what a cache repeats is about another. Everything else, from whoever stands between, may pass: the batch is
kept and sent again.
"""

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from http import HTTPStatus

import msgspec

from collector.sampling.server_requests import Asked
from collector.spool.state import HostFinding
from faultmodel import wire
from faultmodel.problem import ProblemCode
from faultmodel.text import cut

_PROBLEM_TYPE = "application/problem+json"
_LONGEST_PAUSE_S = 60.0
_DETAIL_CHARACTERS = 300
_MOST_FINDINGS = 10
_MOST_ASKED = 64
_UNAUTHORIZED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Verdict(StrEnum):
    """What becomes of a batch: ``accepted`` and ``refused`` are final, ``later`` is to be sent again."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, the reason in words, and how long the server asks to be left alone.

    ``code``: of the problem, where a kvmfaults server gave one. ``status``: of HTTP, 0 where there was no
    answer. ``was_reached``: somebody was there to take the batch, answered or not.
    ``is_unauthorized``: for want of a token that the server accepts; there may be one later.
    ``is_unsent``: the token file cannot be used, so that nothing was sent.
    ``noticed``: what is wrong with the host, as a receipt says. ``asked``: what the server asks to be
    recorded.
    """

    verdict: Verdict
    detail: str = ""
    pause_s: float = 0.0
    code: str = ""
    status: int = 0
    was_reached: bool = True
    is_unauthorized: bool = False
    is_unsent: bool = False
    noticed: tuple[HostFinding, ...] = ()
    asked: tuple[Asked, ...] = ()

    def is_like(self, other: "Answer") -> bool:
        """Return whether both give the same reason."""
        return (self.verdict, self.status, self.code) == (other.verdict, other.status, other.code)


class _Receipt(msgspec.Struct):
    applied: bool


class _Noticed(msgspec.Struct):
    findings: tuple[HostFinding, ...] = ()


class _Asking(msgspec.Struct):
    record: tuple[Asked, ...] = ()


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    code: str = ""


def judge(status: int, reason: str, headers: Mapping[str, str], body: bytes, batch: bytes) -> Answer:
    """Return what an answer means for a batch.

    :param headers: whose names are found in any case
    """
    digest = headers.get(wire.DIGEST_HEADER)
    # A server of an earlier release names none.
    if digest is not None and digest != wire.digest_of(batch):
        detail = f"{status} {reason}, about another batch: a cache between repeats the server's answers"
        return Answer(Verdict.LATER, detail, status=status)
    if status == HTTPStatus.OK and _is_receipt(body):
        return Answer(Verdict.ACCEPTED, status=status, noticed=_noticed(body), asked=_asked(body))
    problem = _problem(headers, body)
    if problem is None:
        said, code = f"{reason}, not from a kvmfaults server: a proxy's answer, or a wrong address", ""
    else:
        said, code = (problem.detail or problem.title)[:_DETAIL_CHARACTERS], problem.code
    return Answer(
        Verdict.REFUSED if code == ProblemCode.DAMAGED else Verdict.LATER,
        f"{status} {said}",
        _pause_s(headers.get("retry-after", "")),
        code,
        status,
        is_unauthorized=status in _UNAUTHORIZED,
    )


def _is_receipt(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _noticed(body: bytes) -> tuple[HostFinding, ...]:
    """Return what a receipt says of the host. What cannot be read costs no receipt."""
    try:
        found = msgspec.json.decode(body, type=_Noticed).findings
    except msgspec.DecodeError:
        return ()
    # The time of what goes on is another one in each receipt.
    return tuple(
        msgspec.structs.replace(
            one,
            code=_shown(one.code),
            hosts=tuple(map(_shown, one.hosts[:_MOST_FINDINGS])),
            last=None if one.is_current or one.last is None else _shown(one.last),
            seconds=None if one.seconds is None else round(one.seconds),
            detail=_shown(one.detail),
        )
        for one in found[:_MOST_FINDINGS]
    )


def _asked(body: bytes) -> tuple[Asked, ...]:
    """Return what a receipt asks to be recorded: nothing where that cannot be read."""
    try:
        asked = msgspec.json.decode(body, type=_Asking).record
    except msgspec.DecodeError:
        return ()
    return asked[:_MOST_ASKED]


def _shown(text: str) -> str:
    return cut(text, _DETAIL_CHARACTERS)


def _problem(headers: Mapping[str, str], body: bytes) -> _Problem | None:
    """Read a problem body; None where it is none. Servers of earlier versions give no code."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _PROBLEM_TYPE:
        return None
    try:
        return msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _pause_s(retry_after: str) -> float:
    # Seconds, or an HTTP date. Source: RFC 9110, 10.2.3.
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_PAUSE_S)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, until.timestamp() - time.time()), _LONGEST_PAUSE_S)
