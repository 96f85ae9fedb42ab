# SPDX-License-Identifier: Apache-2.0
"""A long history of many VMs, made without waiting for it."""
