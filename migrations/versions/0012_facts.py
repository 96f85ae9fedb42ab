"""What events of hosts say, as fields. Events of before keep their sentence, and get the level of one_in."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OF_RECORDS = "kind IN ('records', 'vm_records')"
_TIMES = (("covered time", "covered_time"), ("starts of VMs", "vm_starts"), ("ends of VMs", "vm_ends"))
_NAME = """
    COALESCE((SELECT CASE WHEN vms.name = '' THEN vms.reported_id ELSE vms.name END FROM vms
              JOIN hosts ON hosts.id = vms.host_id AND hosts.arch = vms.arch
              WHERE vms.host_id = host_events.host_id AND vms.reported_id = host_events.vm), vm)
"""


def upgrade() -> None:
    """Add the fields."""
    for name in ("vm", "level", "reason"):
        op.add_column("host_events", sa.Column(name, sa.Text()))
    op.add_column("host_events", sa.Column("facts", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.execute(
        "UPDATE host_events SET level = CASE one_in WHEN 0 THEN 'none' WHEN 1 THEN 'all' ELSE 'sample' END"
        f" WHERE {_OF_RECORDS}"
    )
    for before, after in _TIMES:
        op.execute(f"UPDATE sources SET moved = REPLACE(moved, '{before}', '{after}')")
    op.add_column("hosts", sa.Column("checks", sa.Text(), nullable=False, server_default=sa.text("''")))
    _rewrite_hosts(_with_checks)


def downgrade() -> None:
    """Say in a sentence what the release before reads there: which VM, and how its faults are recorded."""
    op.execute("UPDATE host_events SET one_in = 0 WHERE level = 'none'")
    op.execute("UPDATE host_events SET one_in = 1 WHERE level = 'all'")
    op.execute(
        f"UPDATE host_events SET detail = 'records of ' || {_NAME} || ': ' || CASE"
        " WHEN reason = 'no_longer_asked_for' THEN 'as of the others' WHEN level = 'all' THEN 'every fault'"
        " WHEN level = 'none' THEN 'none' ELSE 'a sample' END"
        " WHERE kind = 'vm_records' AND vm IS NOT NULL"
    )
    op.execute(
        f"UPDATE host_events SET detail = {_NAME} || ' ended before this'"
        " WHERE kind = 'ended_unseen' AND vm IS NOT NULL"
    )
    for before, after in _TIMES:
        op.execute(f"UPDATE sources SET moved = REPLACE(moved, '{after}', '{before}')")
    _rewrite_hosts(_without_checks)
    op.drop_column("hosts", "checks")
    for name in ("facts", "reason", "level", "vm"):
        op.drop_column("host_events", name)


# What pins, and whether KVM's events are received, was told as if it were a tracepoint.
_POSED = {"bpffs:pins": "pins", "uevent:kvm": "ends"}
_Change = Callable[[list[Any], list[Any], str], tuple[list[Any], list[Any], str]]


def _rewrite_hosts(change: _Change) -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, probes, checks, detail FROM hosts")).all()
    for row in rows:
        probes, checks, detail = change(
            json.loads(row.probes or "[]"), json.loads(row.checks or "[]"), row.detail
        )
        connection.execute(
            sa.text("UPDATE hosts SET probes = :probes, checks = :checks, detail = :detail WHERE id = :id"),
            {"id": row.id, "probes": json.dumps(probes), "checks": json.dumps(checks), "detail": detail},
        )


def _with_checks(probes: list[Any], _: list[Any], detail: str) -> tuple[list[Any], list[Any], str]:
    checks = [
        {
            "name": _POSED[probe["tracepoint"]],
            "state": "ok" if probe["state"] == "attached" else "lacking",
            "found": probe.get("detail", ""),
        }
        for probe in probes
        if probe["tracepoint"] in _POSED
    ]
    return [probe for probe in probes if probe["tracepoint"] not in _POSED], checks, detail


def _without_checks(probes: list[Any], checks: list[Any], detail: str) -> tuple[list[Any], list[Any], str]:
    tracepoints = {name: tracepoint for tracepoint, name in _POSED.items()}
    posed = [
        {
            "tracepoint": tracepoints[check["name"]],
            "state": "attached" if check["state"] == "ok" else "refused",
            "detail": check["found"],
        }
        for check in checks
        if check["name"] in tracepoints
    ]
    wrong = [check for check in checks if check["state"] != "ok"]
    said = "; ".join(text for check in wrong for text in (check["found"], check.get("remedy", "")) if text)
    return [*probes, *posed], [], detail or said
