# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state showed of VMs: why they died, their memslots, their page sizes."""

from sqlalchemy import Boolean, Column, PrimaryKeyConstraint, Table

from backend.store.sql.tables.columns import metadata, number, reference, text
from backend.store.sql.words import Word

causes = Table(
    "causes",
    metadata,
    reference("vm_id", "vms.id"),
    text("cause"),
    number("first_ns"),
    number("last_ns"),
    text("evidence"),
    PrimaryKeyConstraint("vm_id", "cause"),
    sqlite_with_rowid=False,
)
"""When a VM's exits had a cause first and last, and what was found with the last."""

memslots = Table(
    "memslots",
    metadata,
    reference("vm_id", "vms.id"),
    number("address_space"),
    number("slot"),
    number("from_ns"),
    Column("gpa", Word, nullable=False),
    Column("size", Word, nullable=False),
    number("flags"),
    Column("host_address", Word, nullable=False),
    text("backing"),
    text("file"),
    Column("offset", Word),
    Column("guest_memfd", Boolean, nullable=False),
    Column("userfaultfd", Boolean),
    text("permissions"),
    PrimaryKeyConstraint("vm_id", "address_space", "slot", "from_ns"),
    sqlite_with_rowid=False,
)
"""A memslot as it is from a time on, until that of its next row. ``size`` 0: there is none."""

vm_pages = Table(
    "vm_pages",
    metadata,
    reference("vm_id", "vms.id"),
    number("time_ns"),
    number("pages_4k"),
    number("pages_2m"),
    number("pages_1g"),
    number("could_4k"),
    number("could_2m"),
    number("could_1g"),
    number("shadow_pages", nullable=True),
    PrimaryKeyConstraint("vm_id"),
    sqlite_with_rowid=False,
)
"""How many pages of each size a VM had when it was looked last."""
