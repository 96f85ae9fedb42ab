# SPDX-License-Identifier: Apache-2.0
"""The collector: runs on hosts, reads KVM's tracepoints with BPF, ships batches."""
