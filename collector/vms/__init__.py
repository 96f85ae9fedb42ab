# SPDX-License-Identifier: Apache-2.0
"""Which VMs there are, what each is called, and when it ends."""
