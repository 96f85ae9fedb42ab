# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads faults under way."""

from collections.abc import Sequence

from backend.store.contract.outstanding import KnownOutstanding
from backend.store.sql.catalog import outstanding
from backend.store.sql.reads import SqlReads


class OutstandingReads(SqlReads):
    """See ``contract.outstanding.OutstandingFaults``."""

    def outstanding(self, vm_ids: Sequence[str] | None) -> Sequence[KnownOutstanding]:
        """Return those of VMs, of every VM where None, the longest first."""
        with self._reading() as connection:
            found = outstanding.faults_of(connection, vm_ids)
        return sorted(found, key=lambda item: (-item.fault.age_ns, item.fault.vm, item.fault.vcpu))

    def outstanding_left_out(self, host_names: Sequence[str] | None) -> int:
        """Return how many more hosts had than they list. :param host_names: None for all"""
        with self._reading() as connection:
            return outstanding.left_out_of(connection, host_names)
