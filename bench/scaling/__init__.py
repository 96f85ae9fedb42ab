# SPDX-License-Identifier: Apache-2.0
"""A fleet of simulated collectors, the servers that take its batches, and what that uses."""
