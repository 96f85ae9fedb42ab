"""Which VMs there are, what each is called, and when it ends."""
