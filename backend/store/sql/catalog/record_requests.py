# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM: kept by host, answered by batches of that host alone.

An answer has the sums of its part: of one run of readings of one collector. The newest of each part is kept,
whichever came first, and a request's sums are those of its parts.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.engine import Row

from backend.errors import NotFoundError, NotNowError, NotPossibleError
from backend.store.contract.record_requests import (
    KEPT_NS,
    LATELY_NS,
    MOST_IN_ALL,
    MOST_KEPT,
    MOST_NOT_OVER,
    MOST_PARTS,
    OpenRequest,
    Recorded,
    RecordRequest,
)
from backend.store.sql.catalog.hosts import collector_of
from backend.store.sql.catalog.vm_queries import vm_row
from backend.store.sql.tables import hosts, record_answers, record_requests, vms
from backend.store.sql.tables.record_requests import SUMS
from backend.store.sql.writer import Writer
from faultmodel.kinds import RecordEnd, RecordingLevel
from faultmodel.problem import ProblemCode
from faultmodel.record_answers import MOST_OPEN, RecordAnswer
from faultmodel.units import NS_PER_S

_answers = record_answers.c
_requests = record_requests.c
_is_ended = exists().where(_answers.request == _requests.id, _answers.end.is_not(None))
_open = (
    select(_requests.id, _requests.ends_ns, _requests.withdrawn_ns, vms.c.reported_id, hosts.c.reported_name)
    .join(hosts, hosts.c.id == _requests.host_id)
    .join(vms, vms.c.id == _requests.vm_id)
    .order_by(_requests.asked_ns, _requests.id)
)


def add_request(writer: Writer, vm_id: str, request: str, seconds: int, token: str, now_ns: int) -> None:
    """Add a request, and forget old ones. See ``RecordRequests``."""
    connection = writer.connection
    vm = vm_row(connection, vm_id)
    # Of two at once, the second sees the first.
    host = connection.execute(select(hosts).where(hosts.c.id == vm.host_id).with_for_update()).one_or_none()
    if host is None:
        raise NotFoundError(f"no VM {vm_id!r}")
    _check_possible(connection, vm, host)
    _check_room(connection, host, now_ns)
    connection.execute(
        writer.insert(record_requests).values(
            id=request,
            host_id=host.id,
            vm_id=vm.id,
            asked_ns=now_ns,
            ends_ns=now_ns + seconds * NS_PER_S,
            withdrawn_ns=None,
            token=token,
        )
    )
    beyond = (
        select(_requests.asked_ns)
        .where(_requests.host_id == host.id)
        .order_by(_requests.asked_ns.desc())
        .limit(1)
        .offset(MOST_KEPT)
    )
    is_old = _requests.ends_ns < now_ns - KEPT_NS
    if (last_ns := connection.scalar(beyond)) is not None:
        too_many = and_(
            _requests.host_id == host.id, _requests.asked_ns <= last_ns, _requests.ends_ns <= now_ns
        )
        is_old = or_(is_old, too_many)
    forget_requests(connection, is_old)


def _check_possible(connection: Connection, vm: Row[Any], host: Row[Any]) -> None:
    if host.is_recording:
        raise NotPossibleError("the VM is one of a recording, which has all that there is of it")
    if vm.ended_ns is not None or vm.boot_id != host.boot_id:
        raise NotPossibleError("the VM has ended; its guest may run on as another VM, which the list has")
    collector = collector_of(connection, host.name)
    if collector is None or not collector.takes_requests:
        raise NotPossibleError(
            f"the collector of host {host.name} takes no requests: it is of an earlier release"
            f" ({host.collector_version or 'unknown'}); bring it to this one, or run kvmfaults-collector"
            " record on the host"
        )


def _check_room(connection: Connection, host: Row[Any], now_ns: int) -> None:
    is_there = _requests.ends_ns > now_ns
    of_host = and_(is_there, _requests.host_id == host.id)
    is_open = and_(of_host, _requests.withdrawn_ns.is_(None), ~_is_ended)
    for where, most, what in (
        (is_open, MOST_OPEN, f"requests of host {host.name} are open already; withdraw one, or wait"),
        (of_host, MOST_NOT_OVER, f"requests of host {host.name} were made of which the time is not over"),
        (is_there, MOST_IN_ALL, "requests of all hosts were made of which the time is not over"),
    ):
        if (connection.scalar(select(func.count()).where(where)) or 0) >= most:
            raise NotNowError(ProblemCode.QUOTA, f"{most} {what}")


def withdraw_request(writer: Writer, vm_id: str, request: str, now_ns: int) -> None:
    """Withdraw a request, unless it is over. :raises NotFoundError: the VM has no such request"""
    connection = writer.connection
    vm = vm_row(connection, vm_id)
    this = and_(_requests.id == request.replace("\0", ""), _requests.vm_id == vm.id)
    if connection.scalar(select(_requests.id).where(this)) is None:
        raise NotFoundError(f"VM {vm_id} has no request {request!r}")
    goes_on = and_(_requests.ends_ns > now_ns, _requests.withdrawn_ns.is_(None), ~_is_ended)
    connection.execute(update(record_requests).where(this, goes_on).values(withdrawn_ns=now_ns))


def forget_requests(connection: Connection, where: Any) -> None:  # noqa: ANN401 - a condition
    """Forget requests and what was answered to them. :param where: a condition on ``record_requests``"""
    some = select(_requests.id).where(where)
    connection.execute(delete(record_answers).where(_answers.request.in_(some)))
    connection.execute(delete(record_requests).where(where))


def read_requests(connection: Connection, vm_id: str) -> Sequence[RecordRequest]:
    """Return the requests for a VM, newest first. :raises NotFoundError: there is no such VM"""
    vm = vm_row(connection, vm_id)
    heard_ns = connection.scalar(select(hosts.c.last_batch_ns).where(hosts.c.id == vm.host_id)) or 0
    rows = connection.execute(
        select(record_requests)
        .where(_requests.vm_id == vm.id)
        .order_by(_requests.asked_ns.desc(), _requests.id)
    ).all()
    parts: dict[str, list[Row[Any]]] = defaultdict(list)
    of_vm = select(_requests.id).where(_requests.vm_id == vm.id)
    for part in connection.execute(
        select(record_answers)
        .where(_answers.request.in_(of_vm))
        .order_by(_answers.received_ns, _answers.stream_id, _answers.part)
    ):
        parts[part.request].append(part)
    return [
        RecordRequest(
            id=row.id,
            vm=vm_id,
            host=vm.host,
            asked_ns=row.asked_ns,
            seconds=(row.ends_ns - row.asked_ns) // NS_PER_S,
            withdrawn_ns=row.withdrawn_ns,
            token=row.token,
            heard_ns=heard_ns,
            recorded=_recorded(parts[row.id]),
        )
        for row in rows
    ]


def _recorded(parts: Sequence[Row[Any]]) -> Recorded | None:
    """Return the sums of all parts: of two machines that go by one name, of the one that has the VM."""
    found = [part for part in parts if part.is_found] or parts
    if not found:
        return None
    newest = found[-1]
    lately_ns = parts[-1].received_ns - LATELY_NS
    totals = {name: sum(getattr(part, name) for part in found) for name in SUMS}
    usual = [part.usual_cpu_ns for part in found]
    began_ns = min(part.time_ns - part.all_ns - part.sample_ns - part.none_ns for part in found)
    # Why less was recorded is kept of an earlier part.
    held_back = next((part for part in reversed(found) if part.used_ppm is not None), newest)
    level, end = RecordingLevel(newest.level), None if newest.end is None else RecordEnd(newest.end)
    return Recorded(
        was_found=bool(newest.is_found),
        is_found=any(part.is_found for part in parts if part.received_ns >= lately_ns),
        began_ns=began_ns,
        to_ns=max(part.time_ns for part in found),
        level=level,
        level_ns={
            RecordingLevel.ALL: totals["all_ns"],
            RecordingLevel.SAMPLE: totals["sample_ns"],
            RecordingLevel.NONE: totals["none_ns"],
        },
        sums=RecordAnswer(
            time_ns=newest.time_ns,
            request=newest.request,
            part=newest.part,
            is_found=bool(newest.is_found),
            level=level,
            **totals,
            usual_cpu_ns=None if None in usual else sum(usual),
            used_ppm=held_back.used_ppm,
            granted_ppm=held_back.granted_ppm,
            end=end,
        ),
        end=end,
    )


def read_open(connection: Connection, now_ns: int) -> Mapping[str, Sequence[OpenRequest]]:
    """Return what each host is asked for, by the name that its collector gives."""
    found: dict[str, list[OpenRequest]] = defaultdict(list)
    for row in connection.execute(_open.where(_requests.ends_ns > now_ns, ~_is_ended)):
        left_ns = 0 if row.withdrawn_ns is not None else row.ends_ns - now_ns
        found[row.reported_name].append(OpenRequest(row.id, row.reported_id, left_ns))
    return found


def add_answers(
    writer: Writer,
    answers: Sequence[RecordAnswer],
    host_id: int,
    stream_id: int,
    sequence: int,
    received_ns: int,
) -> None:
    """Add what a batch answers. What is no request of this host, or older than what is there, is left out."""
    for answer in answers:
        values: dict[str, Any] = {
            "request": answer.request,
            "stream_id": stream_id,
            "part": answer.part,
            "sequence": sequence,
            "received_ns": received_ns,
            "time_ns": answer.time_ns,
            "is_found": answer.is_found,
            "level": answer.level.value,
            **{name: getattr(answer, name) for name in SUMS},
            "usual_cpu_ns": answer.usual_cpu_ns,
            "used_ppm": answer.used_ppm,
            "granted_ppm": answer.granted_ppm,
            "end": None if answer.end is None else answer.end.value,
        }
        others = and_(
            _answers.request == answer.request,
            or_(_answers.stream_id != stream_id, _answers.part != answer.part),
        )
        has_room = select(func.count()).where(others).scalar_subquery() < MOST_PARTS
        row = select(*(literal(value, record_answers.c[name].type) for name, value in values.items())).where(
            exists().where(_requests.id == answer.request, _requests.host_id == host_id), has_room
        )
        statement = writer.insert(record_answers).from_select(list(values), row)
        new = statement.excluded
        writer.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["request", "stream_id", "part"],
                set_={name: new[name] for name in values if name not in ("request", "stream_id", "part")},
                where=_answers.sequence < new.sequence,
            )
        )
