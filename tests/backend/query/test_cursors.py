"""Cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ParameterError
from backend.query.cursors import exit_cursor, read_exit_cursor, read_vm_cursor, vm_cursor

SIGNED = st.integers(-(2**63), 2**63 - 1)


@given(SIGNED, st.from_regex("[0-9a-f]{16}", fullmatch=True))
def test_a_vm_cursor_is_read_as_it_was_written(first_seen_ms: int, vm_id: str) -> None:
    assert read_vm_cursor(vm_cursor(first_seen_ms, vm_id)) == (first_seen_ms, vm_id)


@given(SIGNED, SIGNED)
def test_an_exit_cursor_is_read_as_it_was_written(time_ns: int, position: int) -> None:
    assert read_exit_cursor(exit_cursor(time_ns, position)) == (time_ns, position)


def test_the_cursor_of_one_list_is_none_of_the_other() -> None:
    with pytest.raises(ParameterError):
        read_vm_cursor(exit_cursor(1, 2))
    with pytest.raises(ParameterError):
        read_exit_cursor(vm_cursor(1, "00000000000000a1"))


@given(st.text(max_size=64))
def test_any_other_text_is_refused(text: str) -> None:
    for read in (read_vm_cursor, read_exit_cursor):
        with pytest.raises(ParameterError, match="no cursor of this list"):
            read(text)
