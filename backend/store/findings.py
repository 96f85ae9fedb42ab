"""What is wrong with how hosts are traced, as it was noticed when their batches came (``sources.notice``)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import Row

from backend.store.tables import findings, hosts
from backend.store.values import Finding, FindingCode

_OF_TWO_HOSTS = (FindingCode.TWO_NAMES, FindingCode.RENAMED)


def read_findings(connection: Connection) -> Sequence[Finding]:
    """Return every finding, newest first. Two hosts that each found the other are one."""
    names: Mapping[int, str] = {
        row.id: row.name for row in connection.execute(select(hosts.c.id, hosts.c.name))
    }
    rows = connection.execute(select(findings).order_by(findings.c.last_ns.desc(), findings.c.host_id)).all()
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
