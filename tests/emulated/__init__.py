# SPDX-License-Identifier: Apache-2.0
"""The real collector inside stock Debian kernels, under QEMU's software emulation of their processors.

    test_* ─ report, session ─ machine           boots a kernel with a root file system, and asks
       │                         └ ···job folder··· inside   what runs in there and does what is asked
       └ matrix ─ kernels ─ initramfs            the newest of each series, and its modules
            ├ platforms ─ arm64_root, x86_root   processors, and what their machines have as root
            └ archive                            the packages that all this comes from
    selftests                                    the kernel's own KVM selftests in such machines

Everything that is downloaded or unpacked stays in one folder, ``KVMFAULTS_KERNELS`` or
``.kvmfaults/kernels``, and is used again; to have newer kernels, delete it.
"""
