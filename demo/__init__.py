"""Real guests that fault on purpose, for the demonstration and the tests.

A guest is a few dozen bytes of machine code on the host's own KVM, driven from Python. What it does is
known exactly, so that what a tracer counts can be compared with the truth.

    kvm.py       the KVM ioctls                memory.py    host memory to back a guest with
    machine.py   what a processor must provide x86_64.py    the one there is
    guest.py     a VM, its regions and vCPUs   truth.py     what a guest did

Imports the standard library only, and neither collector nor server.
"""
