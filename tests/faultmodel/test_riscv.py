# SPDX-License-Identifier: Apache-2.0
"""riscv records."""

from faultmodel.arch.riscv import RiscvFault
from faultmodel.record import Access


def test_the_gpa_is_htval_with_the_lowest_bits_of_stval() -> None:
    fault = RiscvFault(
        time_ns=1,
        monotonic_ns=1,
        vm="00000000000000aa",
        vcpu=0,
        scause=23,
        stval=0x7FFF1236,
        htval=0x20000400,
        htinst=0x3020,
        sepc=0,
    )
    assert (fault.gpa, fault.access, fault.htinst) == (0x80001002, Access.WRITE, 0x3020)
