# SPDX-License-Identifier: Apache-2.0
"""Random VMMs, counted by the product and by ``perf stat`` at once.

__main__      the command, for long runs
check         runs VMMs, asks the server, compares
├ plan        what a VMM does, made of a seed
├ vmm         does it, in a process of its own, and says what its guests did
└ oracle      what the kernel's tracepoints say of such a process, by perf
"""
