# SPDX-License-Identifier: Apache-2.0
"""How fast rows are written: what is written, the ways in which it is, and what each took."""
