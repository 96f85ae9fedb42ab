# SPDX-License-Identifier: Apache-2.0
"""The kernel's own KVM selftests, in stock kernels, counted by the product and by the kernel at once.

test_selftests ─ stand                     boots, runs one program after another, asks the server
      │            └ ···machine··· witness     runs in there: the program, and the kernel's histograms
      │            └ counted               what the two of them have, in the same terms
      ├ results                            the table of docs/kernels.md
      └ matrix ─ programs ─ workshop       which programs, how they are built, and with what
"""
