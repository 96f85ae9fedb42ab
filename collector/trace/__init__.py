"""Recorded traces: ftrace text of a host's KVM tracepoints, read as if it came from that host now.

``source`` opens a file, ``lines`` reads a line's head, ``survey`` looks through a whole recording,
``tasks`` tells its VMs and vCPUs, one module per architecture reads the events' texts, ``tally`` counts and
cuts batches, ``replay`` joins these, ``command`` sends. Imports faultmodel and, for sending, the uplink.
"""
