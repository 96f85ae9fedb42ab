# SPDX-License-Identifier: Apache-2.0
"""How many of one unit of time are in another."""

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MS_PER_S = 1_000
