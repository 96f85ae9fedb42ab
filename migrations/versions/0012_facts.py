# SPDX-License-Identifier: Apache-2.0
"""What events of hosts say, as fields. Earlier events keep their sentence.

They get what is known without it: the level, which ``one_in`` said, and that a change of it was the
governor's. Taken back, each event says in a sentence what the release before reads there; its fields are kept
in a table beside it, for when the database is brought up again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OF_RECORDS = "kind IN ('records', 'vm_records')"
_TIMES = (("covered time", "covered_time"), ("starts of VMs", "vm_starts"), ("ends of VMs", "vm_ends"))
_KEPT = ("one_in", "vm", "level", "reason", "facts", "detail")
_AT_ONCE = 10_000
"""Events: so many are held in memory."""
_HAS_FIELDS = "(vm IS NOT NULL OR level IS NOT NULL OR reason IS NOT NULL OR facts <> '')"


def upgrade() -> None:
    """Add the fields."""
    for name in ("vm", "level", "reason"):
        op.add_column("host_events", sa.Column(name, sa.Text()))
    op.add_column("host_events", sa.Column("facts", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.execute(
        "UPDATE host_events SET level = CASE one_in WHEN 0 THEN 'none' WHEN 1 THEN 'all' ELSE 'sample' END"
        f" WHERE {_OF_RECORDS}"
    )
    _name_steps()
    _restore()
    for before, after in _TIMES:
        op.execute(f"UPDATE sources SET moved = REPLACE(moved, '{before}', '{after}')")
    op.add_column("hosts", sa.Column("checks", sa.Text(), nullable=False, server_default=sa.text("''")))
    _rewrite_hosts(_with_checks)


def downgrade() -> None:
    """Say in a sentence what the release before reads there, and keep the fields beside."""
    op.create_table(
        "host_event_facts",
        sa.Column("event_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("one_in", sa.BigInteger()),
        *(sa.Column(name, sa.Text()) for name in _KEPT[1:]),
    )
    names = ", ".join(_KEPT)
    op.execute(
        f"INSERT INTO host_event_facts (event_id, time_ns, {names})"
        f" SELECT id, time_ns, {names} FROM host_events WHERE {_HAS_FIELDS}"
    )
    op.execute("UPDATE host_events SET one_in = 0 WHERE level = 'none'")
    op.execute("UPDATE host_events SET one_in = 1 WHERE level = 'all'")
    _say_in_sentences()
    for before, after in _TIMES:
        op.execute(f"UPDATE sources SET moved = REPLACE(moved, '{after}', '{before}')")
    _rewrite_hosts(_without_checks)
    op.drop_column("hosts", "checks")
    for name in ("facts", "reason", "level", "vm"):
        op.drop_column("host_events", name)


def _name_steps() -> None:
    # What a collector wants recorded of a host is what it was started with: another level is the governor's.
    op.execute(
        """
        UPDATE host_events SET reason = 'budget' WHERE id IN (
            SELECT id FROM (
                SELECT id, kind, level,
                       LAG(kind) OVER ordered AS kind_before, LAG(level) OVER ordered AS level_before
                FROM host_events WHERE kind IN ('records', 'attached', 'taken_over', 'replaced', 'stopped')
                WINDOW ordered AS (PARTITION BY host_id ORDER BY time_ns, id)
            ) AS steps
            WHERE kind = 'records' AND kind_before = 'records' AND level <> level_before
        )
        """
    )


def _restore() -> None:
    """Read back what was kept when the database was taken back, of events that are still there."""
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("host_event_facts"):
        return
    names = ", ".join(_KEPT)
    values = ", ".join(f"kept.{name}" for name in _KEPT)
    kept = (
        "host_event_facts AS kept WHERE kept.event_id = host_events.id AND kept.time_ns = host_events.time_ns"
    )
    op.execute(
        f"UPDATE host_events SET ({names}) = (SELECT {values} FROM {kept})"
        f" WHERE EXISTS (SELECT 1 FROM {kept})"
    )
    op.drop_table("host_event_facts")


def _say_in_sentences() -> None:
    connection = op.get_bind()
    some = sa.text(
        f"""
        SELECT host_events.id, kind, host_events.detail, host_events.vm, level, reason, facts,
               vms.name AS vm_name, vms.pid AS vm_pid
        FROM host_events JOIN hosts ON hosts.id = host_events.host_id
        LEFT JOIN vms ON vms.host_id = hosts.id AND vms.arch = hosts.arch AND vms.reported_id = host_events.vm
        WHERE host_events.id > :last AND {_HAS_FIELDS.replace("vm IS", "host_events.vm IS")}
        ORDER BY host_events.id LIMIT {_AT_ONCE}
        """
    )
    statement = sa.text("UPDATE host_events SET detail = :detail WHERE id = :id")
    last = 0
    while rows := connection.execute(some, {"last": last}).all():
        connection.execute(
            statement, [{"id": row.id, "detail": _sentence(row)[:_DETAIL_LENGTH]} for row in rows]
        )
        last = rows[-1].id


_DETAIL_LENGTH = 1024
_LEVELS = {"all": "every fault", "none": "none"}
_WENT_ON = "counting went on while no collector ran"
_REASONS = {
    "not_pinned": "counting ends with the collector",
    "collector_away": _WENT_ON,
    "adopted": f"{_WENT_ON}; the data directory of the one that began it is gone, and with it what waited"
    " there for the server",
    "unreadable": "what had been counting could not be read on",
    "other_version": "counted by another version; its last counts were read, and each vCPU's count may be"
    " one too high",
    "paused": "what had been counting was stopped; its last counts were read, of a time that is not covered",
}


def _sentence(row: sa.Row[Any]) -> str:
    facts: Mapping[str, Any] = json.loads(row.facts or "{}")
    if row.kind in ("records", "vm_records"):
        # One that has words is of the release before.
        return row.detail or _of_records(row, facts)
    said = _of_facts(row, facts) or _REASONS.get(row.reason or "", "")
    return ": ".join(filter(None, (said, row.detail)))


def _of_records(row: sa.Row[Any], facts: Mapping[str, Any]) -> str:
    of = "records" if row.kind == "records" else f"records of {row.vm_name or row.vm or 'a VM'}"
    per_second = facts.get("per_second")
    sample = "a sample" if per_second is None else f"a sample, at most {per_second} a second and VM"
    text = "as of the others" if row.reason == "no_longer_asked_for" else _LEVELS.get(row.level, sample)
    used, granted = facts.get("used_ppm"), facts.get("granted_ppm")
    if used is None or granted is None:
        return f"{of}: {text}"
    return f"{of}: {text} ({used / 1e4:.3g}% of a core used, {granted / 1e4:.3g}% granted)"


def _of_facts(row: sa.Row[Any], facts: Mapping[str, Any]) -> str:
    shift_s, since = facts.get("shift_s"), facts.get("from_ns")
    if row.kind == "ended_unseen":
        return _of_end(row, facts)
    if row.kind == "clock_stepped" and shift_s is not None:
        return f"times set back by {shift_s} s"
    if row.kind == "server_clock_was_ahead" and shift_s is not None:
        return f"by {shift_s} s; what was received then is set to now"
    if row.kind == "times_moved":
        return ", ".join(_former_names(facts.get("moved", ())))
    if row.reason == "renamed":
        former = facts.get("former_host")
        was = "" if former is None else f"; it was {former!r}"
        return f"counts from here on, and since the last batch before, have this host's name{was}"
    if row.reason == "unread":
        since_when = "it was read last" if since is None else _moment(since)
        removed = "a set of programs that nobody read any more was removed"
        return f"{removed}; what it had counted since {since_when} is lost"
    return ""


def _of_end(row: sa.Row[Any], facts: Mapping[str, Any]) -> str:
    if facts.get("count") is not None:
        return f"so did {facts['count']} more"
    if row.vm is None:
        return ""
    ended = f"{row.vm_name or row.vm}{'' if row.vm_pid is None else f' (process {row.vm_pid})'} ended"
    if None in (facts.get("from_ns"), facts.get("to_ns")):
        return f"{ended} before this"
    text = f"{ended} between {_moment(facts['from_ns'])} and {_moment(facts['to_ns'])}"
    set_s = facts.get("clock_set_s")
    if not set_s:
        return text
    return f"{text}; the clock was set {'ahead' if set_s > 0 else 'back'} by {abs(set_s)} s meanwhile"


def _former_names(moved: Sequence[str]) -> Sequence[str]:
    names = {after: before for before, after in _TIMES}
    return [names.get(name, name) for name in moved]


def _moment(time_ns: int) -> str:
    try:
        return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError):  # After the year 9999.
        return f"{time_ns // 10**9} s since 1970"


# What pins, and whether KVM's events are received, was reported as if it were a tracepoint.
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
    # That KVM's events are not received was reported as a tracepoint only.
    wrong = [check for check in checks if check["state"] != "ok" and check["name"] != "ends"]
    said = "; ".join(text for check in wrong for text in (check["found"], check.get("remedy", "")) if text)
    return [*probes, *posed], [], detail or said
