# SPDX-License-Identifier: Apache-2.0
"""What is known of clocks without asking any."""

RELEASED_NS = 1_793_491_200 * 10**9
"""2026-11-01: this program is not older, so no clock before it is right."""
BEHIND_NS = 300 * 10**9
"""By so much a clock that is set right may step back: less than that is taken for right."""
