# SPDX-License-Identifier: Apache-2.0
"""Which guest faults are recorded one by one."""
