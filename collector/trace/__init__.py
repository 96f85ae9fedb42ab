# SPDX-License-Identifier: Apache-2.0
"""Recorded traces: the text of a host's KVM tracepoints, read as if it came from that host now.

``source`` opens a file, ``text`` makes lines of it, ``shapes`` and ``lines`` read a line's head and
``fields`` the form of perf trace, ``survey`` looks through a whole recording, ``tasks`` finds its VMs and
vCPUs, one module per architecture reads the events' texts and ``qemu`` its log's, ``tally`` counts and cuts
batches, ``recording`` joins these, and ``progress`` says how far it is.
``collector.commands.import_trace`` sends.
"""
