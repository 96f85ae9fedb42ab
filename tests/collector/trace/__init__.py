# SPDX-License-Identifier: Apache-2.0
"""Reading recorded traces."""
