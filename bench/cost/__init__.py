# SPDX-License-Identifier: Apache-2.0
"""What the collector costs its host: the loads it is put under, and what /proc shows of it."""
