# SPDX-License-Identifier: Apache-2.0
"""The names of maps and fields in the sets of earlier versions, with today's names.

A pinned set keeps the names that its version gave it. When a set is opened, its maps and fields get the names
of today, here and in ``compiled``: no other module knows the earlier names. A row can be removed once no
collector of such a version can have left a set.
"""

from collections.abc import Mapping
from pathlib import Path

MAPS: Mapping[str, str] = {
    "homes": "slots",
    "claims": "slot_owners",
    "vcpus": "overflow",
    "visitors": "overflow_threads",
    "turn": "active_generation",
    "own_turn": "own_generation",
    "second_looks": "raw_side_only",
    "overlooked": "missed_faults",
    "homes_cut": "slots_checkpoint",
    "vcpus_cut": "overflow_checkpoint",
    "fault_counts_cut": "fault_counts_checkpoint",
    "exit_counts_cut": "exit_counts_checkpoint",
    "lost_cut": "lost_checkpoint",
    "overlooked_cut": "missed_faults_checkpoint",
}
"""Maps, and the tables of a checkpoint that an earlier version wrote to disk."""
FIELDS: Mapping[str, str] = {
    "spilled": "in_map",
    "looked": "perf_event",
    "overlooked": "missed_faults",
    "cut_monotonic_ns": "checkpoint_monotonic_ns",
    "cut_utc_ns": "checkpoint_utc_ns",
    "vcpus": "overflow",
}


def map_name(name: str) -> str:
    """Return what a map is called now."""
    return MAPS.get(name, name)


def field_name(name: str) -> str:
    """Return what a field is called now."""
    return FIELDS.get(name, name)


def handle_name(name: str) -> str:
    """Return what ``map/...``, ``program/...`` or ``link/...`` is called now."""
    kind, slash, rest = name.partition("/")
    return f"{kind}{slash}{map_name(rest)}" if kind == "map" else name


def pinned_map(folder: Path, name: str) -> Path:
    """Return where a set has a map, by today's name of it."""
    names = (name, *(earlier for earlier, now in MAPS.items() if now == name))
    paths = [folder / f"map-{one}" for one in names]
    return next((path for path in paths if path.exists()), paths[0])
