# SPDX-License-Identifier: Apache-2.0
"""Who a VM is: from process id, command line and cgroup to a name.

``process`` and ``uevents`` read from the kernel; ``naming`` and what it calls are pure functions.
Imports the standard library only.
"""
