# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of kvmfaults: what a fault is, on each architecture, and how it travels.

Shared by the collector and the server, which never import each other. Imports the standard library
and msgspec, does no I/O.
"""
