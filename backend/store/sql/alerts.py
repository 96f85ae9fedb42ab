# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads and changes alerts."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

from backend.store.contract.alerts import Alert, AlertChanges, AlertState
from backend.store.contract.jobs import JobClaim
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog import alerts, jobs
from backend.store.sql.reads import SqlReads
from backend.store.sql.writer import Writer


class SqlAlerts(SqlReads):
    """See ``contract.alerts.Alerts``."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Writer]:
        """Open a transaction that writes."""

    def open_alerts(self) -> Sequence[Alert]:
        """Return those that are pending or firing; no order."""
        with self._reading() as connection:
            return alerts.open_alerts(connection)

    def alerts(self, span: TimeRange, states: Collection[AlertState]) -> Sequence[Alert]:
        """Return those of these states that were open at some time of the range, the newest first."""
        with self._reading() as connection:
            return alerts.read_alerts(connection, span, states)

    def due_notices(self, before_ns: int, limit: int) -> Sequence[Alert]:
        """Return alerts that are to be sent: first those that never were."""
        with self._reading() as connection:
            return alerts.due_notices(connection, before_ns, limit)

    def lost_notices(self) -> int:
        """Return of how many alerts that are kept a notice was lost."""
        with self._reading() as connection:
            return alerts.lost_notices(connection)

    def change_alerts(self, changes: AlertChanges, now_ns: int, claim: JobClaim) -> None:
        """Change alerts for a job, in one transaction. See ``contract.alerts.Alerts``."""
        with self.writing() as writer:
            alerts.change_alerts(writer, changes, now_ns)
            jobs.check_held(writer, claim)

    def note_notices(self, sent: Sequence[Alert], now_ns: int, claim: JobClaim) -> None:
        """Note for a job that a receiver took these alerts as they are given."""
        with self.writing() as writer:
            alerts.note_notices(writer, sent, now_ns)
            jobs.check_held(writer, claim)

    def give_up_notices(self, before_ns: int, claim: JobClaim) -> None:
        """Note for a job as lost what will never be sent. See ``contract.alerts.Alerts``."""
        with self.writing() as writer:
            alerts.give_up_notices(writer, before_ns)
            jobs.check_held(writer, claim)
