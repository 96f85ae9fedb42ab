# SPDX-License-Identifier: Apache-2.0
"""Fault counts of every architecture in one table: the format names what a word is.

The counts of x86, whose words have always had a format, become that table by another name, at once, however
many they are. Those of the others are copied, so many rows at a time. Nothing is stored meanwhile: ``env.py``
has locked every table. What fails leaves the database as it was. Taken back, each architecture
has its own table again.
"""

from collections.abc import Callable, Iterator

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_AT_ONCE = 10_000
"""Rows: a tenth of a second."""
_OTHERS = {"arm64": ("aarch64", "esr_el2"), "riscv": ("riscv64", "scause")}
"""By the tables' prefix, the architecture and what it calls its word, which is its only format, too."""
_LATER = ("nested", "context_unknown")
_COUNTERS = (
    *("faults", "mapped_4k", "mapped_2m", "mapped_1g", "fast", "spurious", "mmio"),
    *("private", "no_memslot", "dirty_logging", "prefetched", *_LATER),
)
_BEFORE, _AFTER = ("x86_fault_counts", "syndrome"), ("fault_counts", "word")
_Span = tuple[int, int, int]
"""A VM, a second, and the second after the last."""


def upgrade() -> None:
    """Have one table take the counts of all."""
    _rename(_BEFORE, _AFTER)
    names = ", ".join(("vm_id", "bucket_s", "vcpu", "format", "word", *_COUNTERS))
    for prefix, (_, word) in _OTHERS.items():
        table = f"{prefix}_fault_counts"
        own = ", ".join(("vm_id", "bucket_s", "vcpu", f"'{word}'", word, *_COUNTERS))
        statement = f"INSERT INTO fault_counts ({names}) SELECT {own} FROM {table}"
        for span in _each(table, f"counts of {prefix}"):
            _execute(statement, span)
        op.drop_table(table)


def downgrade() -> None:
    """Give each architecture's counts to its own table."""
    for prefix, (arch, word) in _OTHERS.items():
        table = f"{prefix}_fault_counts"
        _create(table, word)
        names = ", ".join(("vm_id", "bucket_s", "vcpu", word, *_COUNTERS))
        own = ", ".join(("vm_id", "bucket_s", "vcpu", "word", *_COUNTERS))
        statement = f"INSERT INTO {table} ({names}) SELECT {own} FROM fault_counts"
        for span in _each("fault_counts", f"counts of {prefix}", arch):
            _execute(statement, span)
            _execute("DELETE FROM fault_counts", span)
    _rename(_AFTER, _BEFORE)


def _each(table: str, what: str, arch: str | None = None) -> Iterator[_Span]:
    """Yield parts of a table: of a VM, or of those of an architecture, seconds that have so many rows."""
    connection = op.get_bind()
    progress: Callable[[str, int, int], None] = context.config.attributes.get("progress", lambda *_: None)
    vm_ids = _owners(table, arch)
    for number, vm_id in enumerate(vm_ids):
        progress(what, number, len(vm_ids))
        of_vm = {"vm": vm_id}
        first = connection.scalar(sa.text(f"SELECT min(bucket_s) FROM {table} WHERE vm_id = :vm"), of_vm)
        further = sa.text(
            f"SELECT bucket_s FROM {table} WHERE vm_id = :vm AND bucket_s >= :first "
            "ORDER BY bucket_s LIMIT 1 OFFSET :at_once"
        )
        while first is not None:
            # A second is never cut, however many rows it has.
            last = connection.scalar(further, {**of_vm, "first": first, "at_once": _AT_ONCE})
            end = None if last is None else last + 1
            yield vm_id, first, 2**62 if end is None else end
            first = end
    progress(what, len(vm_ids), len(vm_ids))


def _owners(table: str, arch: str | None) -> list[int]:
    connection = op.get_bind()
    if arch is not None:
        found = connection.scalars(
            sa.text("SELECT id FROM vms WHERE arch = :arch ORDER BY id"), {"arch": arch}
        )
        return list(found)
    # Along the key from VM to VM: each has many rows.
    vm_ids: list[int] = []
    following = sa.text(f"SELECT min(vm_id) FROM {table} WHERE vm_id > :last")
    while (vm_id := connection.scalar(following, {"last": vm_ids[-1] if vm_ids else -1})) is not None:
        vm_ids.append(vm_id)
    return vm_ids


def _execute(statement: str, span: _Span) -> None:
    vm_id, first, end = span
    where = sa.text(f"{statement} WHERE vm_id = :vm AND bucket_s >= :first AND bucket_s < :end")
    op.get_bind().execute(where, {"vm": vm_id, "first": first, "end": end})


def _create(table: str, word: str) -> None:
    op.create_table(
        table,
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("vm_id", "bucket_s", "vcpu", word)),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default="0" if name in _LATER else None)
            for name in _COUNTERS
        ),
        sa.PrimaryKeyConstraint("vm_id", "bucket_s", "vcpu", word, name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )


def _rename(before: tuple[str, str], after: tuple[str, str]) -> None:
    """Rename a table of counts, its word and its key."""
    connection = op.get_bind()
    op.execute(f"ALTER TABLE {before[0]} RENAME COLUMN {before[1]} TO {after[1]}")
    op.execute(f"ALTER TABLE {before[0]} RENAME TO {after[0]}")
    if connection.dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {after[0]} RENAME CONSTRAINT pk_{before[0]} TO pk_{after[0]}")
        return
    # SQLite cannot rename a constraint. Its name is a word of the table's description and of nothing else:
    # such a change is what this pragma is for (sqlite.org/lang_altertable.html, section 7).
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar() or 0
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(replace(sql, ?, ?), ?, ?) WHERE type = 'table' AND name = ?",
        (f'"{after[0]}"', after[0], f"pk_{before[0]}", f"pk_{after[0]}", after[0]),
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
