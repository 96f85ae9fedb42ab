"""Recorded traces of real kernels through the pipeline, against what their guests did."""
