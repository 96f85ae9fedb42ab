# SPDX-License-Identifier: Apache-2.0
"""Who and what there is: hosts, VMs, streams, tokens, coverage, events."""
