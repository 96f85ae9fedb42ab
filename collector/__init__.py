"""The collector: runs on hosts, reads KVM's tracepoints with BPF, ships batches."""
