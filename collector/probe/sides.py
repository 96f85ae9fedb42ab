# SPDX-License-Identifier: Apache-2.0
"""Which sides of a tracepoint get a program (sides.bpf.h)."""

from enum import StrEnum


class Sides(StrEnum):
    """``AS_NEEDED``: on both where programs can be preempted. The others are for tests and measurements."""

    AS_NEEDED = "as_needed"
    BOTH = "both"
    RAW = "raw"


RAW_SIDE_ALONE = frozenset({"sched_switch", "kvm_entry"})
"""Tracepoints that are raised with interrupts off: their programs are neither preempted nor skipped."""
