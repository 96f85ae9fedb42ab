# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.store.sql.words import to_signed, to_unsigned


@pytest.mark.parametrize(
    ("word", "stored"),
    [(0, 0), (1, 1), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)],
)
def test_a_word_is_stored_in_twos_complement(word: int, stored: int) -> None:
    assert to_signed(word) == stored
    assert to_unsigned(stored) == word


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_every_word_comes_back(word: int) -> None:
    assert to_unsigned(to_signed(word)) == word
