# SPDX-License-Identifier: Apache-2.0
"""Names that the previous release used: parameters accept them for one more release, undescribed."""

FORMER_NAMES = {
    "untold_error": "unclassified_error",
    "untold_error_exits": "unclassified_error_exits",
    "-untold_error_exits": "-unclassified_error_exits",
}
"""The current name of a kind, a metric or an order, by its former name."""


def current_name(name: object) -> object:
    """Return the current name of a parameter's value, whatever the value is."""
    return FORMER_NAMES.get(name, name) if isinstance(name, str) else name
