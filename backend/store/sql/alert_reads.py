# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads alerts."""

from collections.abc import Collection, Sequence

from backend.store.contract.alerts import Alert, AlertState
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog import alerts
from backend.store.sql.reads import SqlReads


class AlertReads(SqlReads):
    """See ``contract.alerts.Alerts``."""

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
