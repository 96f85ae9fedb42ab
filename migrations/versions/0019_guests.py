# SPDX-License-Identifier: Apache-2.0
"""Guests, and which guest each VM is a life of: its UUID's, else that of its name on its host, else its own.

Taken back, only which VMs belong together is forgotten: it follows from what is known of the VMs.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_AT_ONCE = 1000
_MOMENT_MS = 5_000
_VMS = (
    "SELECT vms.id, vms.public_id, vms.name, vms.uuid, vms.vmm, vms.command, vms.host_id, vms.boot_id, "
    "vms.pid, vms.ended_ns, vms.first_seen_ms, hosts.reported_name, hosts.is_recording "
    "FROM vms JOIN hosts ON hosts.id = vms.host_id "
    "WHERE (vms.first_seen_ms, vms.id) > (:first_ms, :number) "
    f"ORDER BY vms.first_seen_ms, vms.id LIMIT {_AT_ONCE}"
)
Key = tuple[str, str]
_Row = sa.Row[*tuple[Any, ...]]


def upgrade() -> None:
    """Make guests of the VMs that are stored."""
    op.create_table(
        "guests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("identified_by", sa.Text(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("joined_to", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guests"),
        sqlite_with_rowid=False,
    )
    op.add_column("vms", sa.Column("guest_id", sa.Text(), nullable=False, server_default=sa.text("''")))
    _join()
    op.create_index("ix_guests_joined_to", "guests", ["joined_to"])
    op.create_index("ix_vms_guest_id_ended_ns", "vms", ["guest_id", "ended_ns"])


def downgrade() -> None:
    """Forget guests."""
    op.drop_index("ix_vms_guest_id_ended_ns", "vms")
    op.drop_column("vms", "guest_id")
    op.drop_table("guests")


def _join() -> None:
    connection = op.get_bind()
    guests: dict[str, tuple[str, str]] = {}
    before: dict[tuple[str, int, str, int], _Row] = {}
    for rows in _pages(connection):
        chosen = []
        for row in rows:
            key = _key_of(row)
            process = (_id(key), row.host_id, row.boot_id, row.pid)
            # Two VMs that one process has at once are two guests.
            if key[0] != "vm" and process in before and not _follows(row, before[process]):
                key = ("vm", row.public_id)
            else:
                before[process] = row
            guests[_id(key)] = key[0], key[1] if key[0] == "uuid" else ""
            chosen.append({"number": row.id, "guest": _id(key)})
        connection.execute(sa.text("UPDATE vms SET guest_id = :guest WHERE id = :number"), chosen)
    rows = [{"id": guest, "by": by, "uuid": uuid} for guest, (by, uuid) in sorted(guests.items())]
    for start in range(0, len(rows), _AT_ONCE):
        connection.execute(
            sa.text("INSERT INTO guests (id, identified_by, uuid, joined_to) VALUES (:id, :by, :uuid, '')"),
            rows[start : start + _AT_ONCE],
        )


def _pages(connection: sa.Connection) -> Iterator[Sequence[_Row]]:
    reached = {"first_ms": -(2**63), "number": -1}
    while rows := connection.execute(sa.text(_VMS), reached).all():
        yield rows
        reached = {"first_ms": rows[-1].first_seen_ms, "number": rows[-1].id}


def _key_of(row: _Row) -> Key:
    uuid = row.uuid.lower()
    if _UUID.fullmatch(uuid) and set(uuid) not in ({"0", "-"}, {"f", "-"}):
        return "uuid", uuid
    program = PurePosixPath(row.command.partition(" ")[0].strip("'\"")).name
    if row.is_recording or row.name in ("", row.vmm, program, program[:15]):
        return "vm", row.public_id
    return "name", f"{row.reported_name}\0{row.name}"


def _follows(row: _Row, other: _Row) -> bool:
    return (
        other.ended_ns is not None
        and other.ended_ns // 1_000_000 <= row.first_seen_ms + _MOMENT_MS
        and row.first_seen_ms > other.first_seen_ms
        and (row.ended_ns is None or row.ended_ns > other.ended_ns)
    )


def _id(key: Key) -> str:
    return blake2b(f"{key[0]}\0{key[1]}".encode(), digest_size=8).hexdigest()
