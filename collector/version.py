# SPDX-License-Identifier: Apache-2.0
"""The version of what is installed."""

from importlib import metadata


def version() -> str:
    """Return it, or "unknown" where this runs from a checkout that is not installed."""
    try:
        return metadata.version("kvmfaults")
    except metadata.PackageNotFoundError:
        return "unknown"
