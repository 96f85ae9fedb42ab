"""Who and what there is: hosts, VMs, streams, tokens, coverage, events."""
