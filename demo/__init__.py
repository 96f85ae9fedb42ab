# SPDX-License-Identifier: Apache-2.0
"""Real guests that fault on purpose, for the demonstration and the tests.

A guest is a few dozen bytes of machine code on the host's own KVM, driven from Python. What it does is
known exactly, so that what a tracer counts can be compared with the truth.

    __main__ ─ show ─ programme ─ cases ─ scene ─┐
        └───── exact ─────────────────────────── guest ─ layout ─ memory     one VM, where its memory lies
                                                  └ host ─ x86_64, arm64     this host's processor
    qemu ─ qemu_image                               └ kvm, machine           the ioctls; what a guest does
      a stock QEMU with such a guest                                         truth: what it did

Imports the standard library only, and neither collector nor server.
"""
