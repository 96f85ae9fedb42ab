# SPDX-License-Identifier: Apache-2.0
"""What is wrong with how hosts are traced, as it was noticed when their batches came (``sources.notice``)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Row

from backend.store.contract.hosts import Finding, FindingCode
from backend.store.sql.catalog.hosts import host_names
from backend.store.sql.tables import findings

_MOST = 20
"""Of a host and a code: what goes on is among them."""
_place = func.row_number().over(
    partition_by=[findings.c.host_id, findings.c.code],
    order_by=[findings.c.last_ns.desc(), findings.c.subject],
)
_placed = select(findings, _place.label("place")).subquery()
_newest = (
    select(_placed).where(_placed.c.place <= _MOST).order_by(_placed.c.last_ns.desc(), _placed.c.host_id)
)
_OF_TWO_HOSTS = (FindingCode.TWO_NAMES, FindingCode.RENAMED)


def read_findings(connection: Connection) -> Sequence[Finding]:
    """Return findings, newest first: of each host and code the newest. Two hosts that each found the other
    are one.
    """
    names = host_names(connection, None)
    rows = connection.execute(_newest).all()
    found: dict[object, Finding] = {}
    for row in rows:
        finding = _finding(row, names)
        key = (finding.code, tuple(sorted(finding.hosts)), finding.subject)
        if key in found:
            earlier = min(finding.first_ns, found[key].first_ns)
            finding = Finding(
                code=finding.code,
                hosts=found[key].hosts,
                subject=finding.subject,
                first_ns=earlier,
                last_ns=found[key].last_ns,
            )
        found[key] = finding
    return list(found.values())


def _finding(row: Row[Any], names: Mapping[int, str]) -> Finding:
    code = FindingCode(row.code)
    involved, subject = [names[row.host_id]], tuple(row.subject.split("/"))
    if code in _OF_TWO_HOSTS:
        other = names.get(int(row.subject))
        involved, subject = [*involved, *([other] if other else [])], ()
    return Finding(code=code, hosts=involved, subject=subject, first_ns=row.first_ns, last_ns=row.last_ns)
