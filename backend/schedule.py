# SPDX-License-Identifier: Apache-2.0
"""How often the server does what it does without being asked: for whoever does it, and whoever misses it."""

from collections.abc import Mapping

EVERY_S: Mapping[str, int] = {
    "sessions": 600,
    "rollup": 5,
    "retention": 60,
    "sizes": 60,
    "folding": 3600,
    "partitions": 600,
    "alerts": 15,
    "notices": 15,
}
"""Of each job, by its name."""
WITHIN_S = 60
"""A run of any job ends within this time."""
