# SPDX-License-Identifier: Apache-2.0
"""Alerts: the rules, what they watch is now, and what becomes of each alert."""
