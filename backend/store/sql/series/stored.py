# SPDX-License-Identifier: Apache-2.0
"""A series as the store over SQL needs one: it lies in the same database, or in one of its own.

What is noted of it (what is yet to be summed up, from when on levels are kept) is always in the catalog's
database, and changes in the catalog's transactions.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Table

from backend.store.contract.retention import Kept
from backend.store.contract.series import Series
from backend.store.sql.series.rows import Rows
from backend.store.sql.series.sizes import Measured
from backend.store.sql.series.summing import Summing
from backend.store.sql.writer import Columns, Writer

Reading = Callable[[], AbstractContextManager[Connection]]
Writing = Callable[[], AbstractContextManager[Writer]]


@dataclass(frozen=True, slots=True)
class Transactions:
    """What opens transactions of the catalog.

    ``reading`` and ``writing`` go on with what the thread has open; ``checking`` sees what is committed now.
    """

    reading: Reading
    checking: Reading
    writing: Writing


NewSeries = Callable[[Transactions], "StoredSeries"]
"""Makes a series."""
IDENTITY = "identity"
"""In ``series_state``, where the series lies in a database of its own: by which the two know one another."""


class StoredSeries(Series, Protocol):
    """What is done with a series beside adding to it and reading it."""

    pace: int
    """How many times as long as over SQL it takes to begin a statement, at least: so much more is summed at
    once."""
    is_elsewhere: bool
    """Whether it lies in a database of its own: what is removed of it frees nothing in the catalog's."""

    def check(self, connection: Connection) -> None:
        """Raise SchemaError unless this is the series of the catalog that the connection reads."""

    def prepare(self) -> None:
        """Make what is not there, once the catalog is migrated.

        :raises SchemaError: this is another catalog's, or that has had its series elsewhere so far
        """

    def begin_summing(self) -> None:
        """Note that buckets are about to be summed, before the transaction in which they are."""

    def sum_up(self, writer: Writer, summing: Summing) -> None:
        """Replace buckets of a level by what they are now. See ``rollup.SumUp``."""

    def remove_older(self, reading: Reading, writing: Writing, within_s: float) -> int:
        """Remove what is older than is kept, for a while, and return how many rows that were.

        :param reading: opens a transaction of the catalog
        :param writing: opens one that writes
        """

    def empty_vm(self, locked: Writing, vm_number: int, arch: str) -> None:
        """Remove what there is of a VM. ``locked`` opens transactions in which nobody adds to it."""

    def remove_vm(self, writer: Writer, vm_number: int, arch: str) -> None:
        """Remove what was added since, in the transaction that removes the VM."""

    def empty_host(self, locked: Writing, host_id: int) -> None:
        """Remove what there is of a host itself, likewise."""

    def remove_host(self, writer: Writer, host_id: int) -> None:
        """Remove what was added since, in the transaction that removes the host."""

    def read_rows(
        self, connection: Connection, table: Table, after: Sequence[Any] | None, limit: int
    ) -> Rows:
        """Return rows of a table of SQL, those that count, in an order of the series. See ``rows``."""

    def put_rows(self, writer: Writer, number: int, table: Table, columns: Columns) -> None:
        """Add rows of a table that are not there yet, as they were read.

        :param number: what ``opening`` gave
        """

    def row_sums(self, connection: Connection, table: Table) -> tuple[int, Sequence[int]]:
        """Return how many rows of a table count, and the sums of its counts."""

    def measured(self, table: Table) -> Measured | None:
        """Return what a table takes that lies elsewhere; None for one in the catalog's database."""

    def size(self) -> int:
        """Return how many bytes it takes beside the catalog's database."""

    def ends_s(self) -> Mapping[Kept, Sequence[int]]:
        """Return from when on things have to be kept for another part of them to go, s, ascending.

        Of what lies elsewhere whole parts alone go.
        """

    def close(self) -> None:
        """Release every connection."""
