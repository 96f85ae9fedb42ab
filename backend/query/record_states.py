# SPDX-License-Identifier: Apache-2.0
"""How it is with a request to record every fault of a VM, by what its host answered and when it was heard."""

from enum import StrEnum

from backend.query.covering import STALE_MS
from backend.store.contract.record_requests import RecordRequest
from faultmodel.kinds import RecordEnd
from faultmodel.units import NS_PER_MS


class RecordState(StrEnum):
    """Where a request is."""

    ASKED = "asked"
    """The host has not answered yet."""
    WAITING = "waiting"
    """The host is not heard of."""
    NOT_FOUND = "not_found"
    """The host's collector knows no such VM now."""
    RECORDING = "recording"
    OVER = "over"


def state_of(request: RecordRequest, now_ns: int) -> RecordState:
    """Return where a request is. One that was withdrawn goes on until its host has heard of that."""
    recorded = request.recorded
    if request.ends_ns <= now_ns or (recorded is not None and recorded.end is not None):
        return RecordState.OVER
    if request.withdrawn_ns is not None and (recorded is None or not recorded.was_found):
        return RecordState.OVER
    if now_ns - request.heard_ns > STALE_MS * NS_PER_MS:
        return RecordState.WAITING
    if recorded is None:
        return RecordState.ASKED
    return RecordState.RECORDING if recorded.is_found else RecordState.NOT_FOUND


def end_of(request: RecordRequest, now_ns: int) -> RecordEnd | None:
    """Return why a request is over: what the host says, else what is known here; None while it goes on."""
    if state_of(request, now_ns) is not RecordState.OVER:
        return None
    if request.recorded is not None and request.recorded.end is not None:
        return request.recorded.end
    return RecordEnd.TIME if request.withdrawn_ns is None else RecordEnd.WITHDRAWN
