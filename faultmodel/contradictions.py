# SPDX-License-Identifier: Apache-2.0
"""Rows of a batch that contradict each other, which no single row shows. The wire and the store check it."""

from faultmodel.errors import WireError
from faultmodel.sections import Content, vm_ids_of


def check_content(content: Content) -> None:
    """Check that a batch describes every VM that its rows name, and that no span ends before it begins.

    :raises WireError: naming the VM or the span
    """
    for vm_id in vm_ids_of(content) - {vm.id for vm in content.vms}:
        raise WireError(f"batch counts for VM {vm_id} and does not describe it")
    for span in content.covered:
        if span.to_ns < span.from_ns:
            raise WireError(f"covered span ends at {span.to_ns} before it begins at {span.from_ns}")
