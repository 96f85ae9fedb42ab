# SPDX-License-Identifier: Apache-2.0
"""Has a host record every fault of a VM for a while, and withdraws that. It takes a right of its own."""

import secrets

import msgspec
from fastapi import APIRouter, Request, Security

from backend.api import schemas
from backend.api.access import RecorderDep, read_cookie, record_bearer
from backend.api.bodies import read_body
from backend.api.parameters import VmPath
from backend.api.problems import ProblemError
from backend.api.recording import RequestPath, show_record_request
from backend.api.responses import problems
from backend.api.services import Services, ServicesDep
from faultmodel.problem import ProblemCode
from faultmodel.record_answers import LONGEST_S

router = APIRouter(
    prefix="/api/v1/vms/{id}/record",
    tags=["Virtual machines"],
    dependencies=[Security(record_bearer), Security(read_cookie)],
)
_MAX_BYTES = 4096
_BODY_S = 5.0


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    seconds: int


@router.post(
    "",
    status_code=202,
    responses=problems(401, 403, 404, 408, 409, 413, 415, 429),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"seconds": {"type": "integer", "minimum": 1, "maximum": LONGEST_S}},
                        "required": ["seconds"],
                        "additionalProperties": False,
                    },
                    "example": {"seconds": 60},
                }
            },
        }
    },
)
async def record_vm(
    request: Request, services: ServicesDep, recorder: RecorderDep, id: VmPath
) -> schemas.RecordRequest:
    """Have every fault of a VM recorded from now on, for so many seconds, as far as its host's budget allows.

    The host learns of it with the receipt of its next batch. Who asks again has another request, which is
    answered apart.
    """
    seconds = _seconds(await read_body(request, _MAX_BYTES, "application/json", within_s=_BODY_S))
    return await services.writing_requests.run(_add, services, id, seconds, recorder)


@router.delete("/{request}", responses=problems(401, 403, 404))
async def withdraw_record_request(
    services: ServicesDep, recorder: RecorderDep, id: VmPath, request: RequestPath
) -> schemas.RecordRequest:
    """Withdraw a request. One that is over stays as it is."""
    del recorder
    return await services.writing_requests.run(_withdraw, services, id, request)


def _add(services: Services, vm_id: str, seconds: int, token: str) -> schemas.RecordRequest:
    name = secrets.token_hex(8)
    now_ns = services.store.shared_now_ns(services.now_ns())
    services.store.add_record_request(vm_id, name, seconds, token, now_ns)
    services.record_orders.note_change()
    return show_record_request(services, vm_id, name)


def _withdraw(services: Services, vm_id: str, name: str) -> schemas.RecordRequest:
    now_ns = services.store.shared_now_ns(services.now_ns())
    services.store.withdraw_record_request(vm_id, name, now_ns)
    services.record_orders.note_change()
    return show_record_request(services, vm_id, name)


def _seconds(body: bytes) -> int:
    try:
        seconds = msgspec.json.decode(body, type=_Wanted).seconds
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProblemError(400, ProblemCode.BAD_REQUEST, f'the body is not {{"seconds": 60}}: {exc}') from exc
    if not 1 <= seconds <= LONGEST_S:
        raise ProblemError(400, ProblemCode.BAD_REQUEST, f"seconds is {seconds}, not 1 to {LONGEST_S}")
    return seconds
