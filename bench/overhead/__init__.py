# SPDX-License-Identifier: Apache-2.0
"""What each way of watching guest faults costs a guest: the tracers, the turns and the table."""
