# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests to record every fault of a VM."""

from typing import Any

from backend.api import schemas
from backend.query.record_states import end_of, state_of
from backend.store.contract.record_requests import Recorded, RecordRequest
from backend.times import rfc3339_ns
from backend.token_list import ID_LENGTH
from faultmodel.kinds import RecordingLevel
from faultmodel.units import NS_PER_S

_PPM_OF_PERCENT = 10_000


def record_request_body(request: RecordRequest, now_ns: int) -> schemas.RecordRequest:
    """Return the body of a request. :param now_ns: by the servers' clock"""
    recorded = request.recorded
    return schemas.RecordRequest(
        id=request.id,
        vm=request.vm,
        host=request.host,
        state=state_of(request, now_ns),
        end=end_of(request, now_ns),
        is_final=recorded is not None and recorded.end is not None,
        asked_at=rfc3339_ns(request.asked_ns),
        asked_by=request.token[:ID_LENGTH] or None,
        seconds=request.seconds,
        ends_at=rfc3339_ns(request.ends_ns),
        left_s=max(0, request.ends_ns - now_ns) / NS_PER_S,
        withdrawn_at=None if request.withdrawn_ns is None else rfc3339_ns(request.withdrawn_ns),
        heard_at=rfc3339_ns(request.heard_ns),
        **(_NOTHING if recorded is None or not recorded.was_found else _recorded(recorded)),
    )


_NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("began_at", "to", "time", "level", "seen", "recorded", "dropped", "left_out", "late", "missed"),
        *("dropped_batches", "used_percent", "granted_percent", "cost"),
    )
)


def _recorded(recorded: Recorded) -> dict[str, Any]:
    sums = recorded.sums
    seconds = {level: ns / NS_PER_S for level, ns in recorded.level_ns.items()}
    return {
        "began_at": rfc3339_ns(recorded.began_ns),
        "to": rfc3339_ns(recorded.to_ns),
        "time": schemas.RecordedTime(
            all_s=seconds[RecordingLevel.ALL],
            sample_s=seconds[RecordingLevel.SAMPLE],
            none_s=seconds[RecordingLevel.NONE],
        ),
        "level": recorded.level,
        **{
            name: getattr(sums, name)
            for name in ("seen", "recorded", "dropped", "late", "missed", "dropped_batches")
        },
        "left_out": max(0, sums.seen - sums.recorded - sums.dropped),
        "used_percent": None if sums.used_ppm is None else sums.used_ppm / _PPM_OF_PERCENT,
        "granted_percent": None if sums.granted_ppm is None else sums.granted_ppm / _PPM_OF_PERCENT,
        "cost": schemas.RecordCost(
            cpu_s=sums.cpu_ns / NS_PER_S,
            usual_cpu_s=None if sums.usual_cpu_ns is None else sums.usual_cpu_ns / NS_PER_S,
        ),
    }
