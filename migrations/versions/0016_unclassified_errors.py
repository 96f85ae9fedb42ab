# SPDX-License-Identifier: Apache-2.0
"""Exits whose reason or errno a recording leaves out are of the kind ``unclassified_error``."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_BEFORE, _AFTER = "untold_error", "unclassified_error"
_PREFIXES = ("x86", "arm64", "riscv")


def upgrade() -> None:
    """Name the kind as it is called now."""
    _rename(_BEFORE, _AFTER)


def downgrade() -> None:
    """Name it as the release before does."""
    _rename(_AFTER, _BEFORE)


def _rename(before: str, after: str) -> None:
    for prefix in _PREFIXES:
        op.execute(f"UPDATE {prefix}_exits SET kind = '{after}' WHERE kind = '{before}'")
