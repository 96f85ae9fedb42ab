# SPDX-License-Identifier: Apache-2.0
"""The server and the hosts that it hears from."""

from fastapi import APIRouter

from backend.api import schemas
from backend.api.presented import finding_body, host_body, job_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import Services, ServicesDep
from backend.query.findings import find_among
from backend.query.host_cost import recent_costs
from backend.query.readiness import what_is_missing, why_not_traced
from backend.store.contract.hosts import LISTED_RECORDINGS
from backend.times import rfc3339_ns

_RECENT_MS = 60_000
_MOST_FINDINGS = 200
router = APIRouter(prefix="/api/v1/status", tags=["Status"], route_class=ReadingRoute)


@router.get("", responses=reader_problems())
def show_status(services: ServicesDep) -> schemas.Status:
    """Show what the server is, and each host: its probes, what it lost, and when it was last heard of."""
    services.refusals.write()
    return status_of(services)


def status_of(services: Services) -> schemas.Status:
    """Return the status as far as it is stored by now."""
    now_ns = services.now_ns()
    expects_collector = services.settings.expects_collector
    missing = what_is_missing(services.store, expects_collector=False, now_ms=services.now_ms)
    ahead_ns = services.host_clocks.ahead_ns(now_ns)
    with services.store.snapshot():
        hosts = services.store.hosts(recordings=LISTED_RECORDINGS)
        known = services.store.known_hosts(recordings=LISTED_RECORDINGS)
        news = services.store.news()
        costs = recent_costs(services.store, services.now_ms, _RECENT_MS)
        clock_problem = services.store.clock_problem(now_ns)
        jobs, shared_ns = services.store.jobs(), services.store.shared_now_ns(now_ns)
        found = find_among(services.store, hosts, known.taken_ns, clock_problem, ahead_ns, now_ns)
    if expects_collector and not missing:
        missing = why_not_traced(hosts, clock_problem, services.now_ms)
    return schemas.Status(
        version=services.version,
        database=services.settings.database_kind,
        now=rfc3339_ns(now_ns),
        started_at=rfc3339_ns(services.started_ns),
        expects_collector=expects_collector,
        ready=not missing,
        missing=missing,
        news=news,
        asks_for_token=services.settings.requires_tokens,
        hosts=[host_body(host, costs.get(host.name), services.now_ms) for host in hosts],
        recordings_left_out=known.left_out,
        findings=[finding_body(item) for item in found[:_MOST_FINDINGS]],
        findings_left_out=max(0, len(found) - _MOST_FINDINGS),
        jobs=[job_body(job, shared_ns) for job in jobs],
    )
