# SPDX-License-Identifier: Apache-2.0
"""Cursors."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ParameterError
from backend.query.cursors import (
    Listed,
    Sorted,
    place_cursor,
    read_place_cursor,
    read_sorted_cursor,
    read_syndrome_cursor,
    read_vm_cursor,
    sorted_cursor,
    syndrome_cursor,
    vm_cursor,
)
from backend.store.contract.values import SyndromePlace
from backend.store.contract.vms import VmPlace

SIGNED = st.integers(-(2**63), 2**63 - 1)


@given(st.builds(VmPlace, st.booleans(), SIGNED, st.from_regex("[0-9a-f]{16}", fullmatch=True)))
def test_a_vm_cursor_is_read_as_it_was_written(place: VmPlace) -> None:
    assert read_vm_cursor(vm_cursor(place)) == place


@given(
    st.builds(
        SyndromePlace,
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**64 - 1),
        st.from_regex("[a-z0-9_]{0,16}", fullmatch=True),
    )
)
def test_a_place_among_words_is_read_as_it_was_written(place: SyndromePlace) -> None:
    assert read_syndrome_cursor(syndrome_cursor(place)) == place


@given(st.sampled_from(Listed), SIGNED, SIGNED)
def test_a_place_is_read_as_it_was_written(listed: Listed, time_ns: int, position: int) -> None:
    assert read_place_cursor(listed, place_cursor(listed, time_ns, position)) == (time_ns, position)


@pytest.mark.parametrize("listed", Listed)
def test_without_a_cursor_there_is_no_place(listed: Listed) -> None:
    assert read_place_cursor(listed, None) is None


def test_the_cursor_of_one_list_is_none_of_the_other() -> None:
    with pytest.raises(ParameterError):
        read_vm_cursor(place_cursor(Listed.EXITS, 1, 2))
    with pytest.raises(ParameterError):
        read_place_cursor(Listed.EXITS, vm_cursor(VmPlace(False, 1, "00000000000000a1")))
    with pytest.raises(ParameterError):
        read_place_cursor(Listed.EXITS, place_cursor(Listed.FAULTS, 1, 2))


def test_a_place_that_no_list_has_is_refused() -> None:
    assert read_sorted_cursor(Sorted.VMS, sorted_cursor(Sorted.VMS, 2**31, "00000000000000a1")) == (
        2**31,
        "00000000000000a1",
    )
    with pytest.raises(ParameterError, match="no cursor of this list"):
        read_sorted_cursor(Sorted.VMS, sorted_cursor(Sorted.VMS, 2**32 - 1, "00000000000000a1"))


@given(st.text(max_size=64))
def test_any_other_text_is_refused(text: str) -> None:
    for read in (read_vm_cursor, read_syndrome_cursor, partial(read_place_cursor, Listed.EXITS)):
        with pytest.raises(ParameterError, match="no cursor of this list"):
            read(text)
