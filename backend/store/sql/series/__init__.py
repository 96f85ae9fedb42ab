# SPDX-License-Identifier: Apache-2.0
"""What is counted or recorded over time."""
