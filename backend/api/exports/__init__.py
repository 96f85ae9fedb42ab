# SPDX-License-Identifier: Apache-2.0
"""Lists and rates as files: CSV, JSON lines and Parquet, written while they are read."""
