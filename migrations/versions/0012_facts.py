"""What events of hosts say, as fields. Events of before keep their sentence, and get the level of one_in."""

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
    for name in ("facts", "reason", "level", "vm"):
        op.drop_column("host_events", name)
