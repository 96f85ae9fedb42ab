"""Which guest faults are recorded one by one."""
