# SPDX-License-Identifier: Apache-2.0
"""How long a fault takes to a viewer: the guest that faults, the viewer, and what lies between."""
