# SPDX-License-Identifier: Apache-2.0
"""The software side."""

from faultmodel.context import CONTEXT, OUTCOMES
from faultmodel.record import COUNTERS, Side


def test_every_counter_but_that_of_all_faults_is_explained() -> None:
    assert set(COUNTERS) - {"faults"} == (set(CONTEXT) | set(OUTCOMES)) - {"userfault"}


def test_a_flag_is_either_context_or_outcome() -> None:
    assert not set(CONTEXT) & set(OUTCOMES)


def test_the_software_side_has_no_bit_of_the_hardware_s_word() -> None:
    flags = [*CONTEXT.values(), *OUTCOMES.values()]
    assert {(flag.side, flag.bit) for flag in flags} == {(Side.SOFTWARE, None)}
