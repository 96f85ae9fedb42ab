# SPDX-License-Identifier: Apache-2.0
"""Recorded traces of real kernels through the pipeline, against what their guests did."""
