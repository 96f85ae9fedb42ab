"""The real collector inside stock Debian kernels, under QEMU's software emulation of their processors.

    test_* ─ session ─ machine             boots a kernel with a root file system
       │        └ ···job folder··· inside   what runs in there: the collector, and its guests
       ├ kernels ─ initramfs                the newest of a series, and its modules
       ├ arm64_root                         what an arm64 machine has as its root
       └ archive                            the packages that all this comes from

Everything that is downloaded or unpacked stays in one folder, ``KVMFAULTS_KERNELS`` or
``.kvmfaults/kernels``, and is used again; to have newer kernels, delete it.
"""
