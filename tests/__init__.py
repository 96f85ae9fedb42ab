# SPDX-License-Identifier: Apache-2.0
"""Tests, in the order of the packages that they test."""
