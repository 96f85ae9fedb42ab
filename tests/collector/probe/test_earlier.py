"""What the version before has in its maps, as this version reads it."""

import struct

import pytest

from collector.probe.earlier import narrow, widen
from collector.probe.layout import (
    EXIT_REASON,
    EXIT_REASONS,
    FAULT_COUNTERS,
    SYNDROME,
    SYNDROMES,
    VCPU_COUNTS_BYTES,
    VCPU_HEAD,
)

OLD_HEAD = struct.Struct("=QQQIIIIQQIIQQQQQQQQQ")
OLD_SYNDROME = struct.Struct("=QII11Q")


def _old_home() -> bytes:
    head = OLD_HEAD.pack(*range(1, 21))
    syndromes = [
        OLD_SYNDROME.pack(word, 1, 0, *range(word, word + 11)) for word in range(100, 100 + SYNDROMES)
    ]
    exits = [EXIT_REASON.pack(reason, 14, 7) for reason in range(EXIT_REASONS)]
    return b"".join((head, *syndromes, *exits))


@pytest.mark.parametrize("name", ["homes", "vcpus"])
def test_a_vcpus_counts_keep_every_figure_and_gain_none(name: str) -> None:
    old = _old_home()
    new = widen(name, old)
    assert len(new) == VCPU_COUNTS_BYTES
    assert VCPU_HEAD.unpack_from(new)[:20] == OLD_HEAD.unpack_from(old)
    for index in range(SYNDROMES):
        word, *rest = SYNDROME.unpack_from(new, VCPU_HEAD.size + index * SYNDROME.size)
        assert (word, rest[2:13], rest[13:]) == (100 + index, [*range(word, word + 11)], [0, 0])
    assert new[-EXIT_REASONS * EXIT_REASON.size :] == old[-EXIT_REASONS * EXIT_REASON.size :]
    assert narrow(name, new) == old


def test_what_is_noted_goes_back_as_it_was() -> None:
    for value in (bytes(88), bytes(range(88))):
        new = widen("fault_counts", value)
        assert len(new) == FAULT_COUNTERS.size
        assert narrow("fault_counts", new) == value
        assert narrow("fault_counts", value) == value
    assert widen("exit_counts", b"12345678") == narrow("exit_counts", b"12345678") == b"12345678"
    assert narrow("homes", _old_home()) == _old_home()
