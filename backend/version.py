# SPDX-License-Identifier: Apache-2.0
"""Which version this is."""

from importlib import metadata


def version() -> str:
    """Return the version that is installed, ``unknown`` in a checkout that is not installed."""
    try:
        return metadata.version("kvmfaults")
    except metadata.PackageNotFoundError:
        return "unknown"
