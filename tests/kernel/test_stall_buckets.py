# SPDX-License-Identifier: Apache-2.0
"""The programs put a time into the bucket that the vocabulary does, at every edge."""

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import bcc
import pytest

from collector.probe.headers import ensure_headers
from collector.probe.source import FOLDER
from faultmodel.stalls import FIRST_OCTAVE, LAST_OCTAVE, QUARTERS, bucket_of, lower_ns

pytestmark = pytest.mark.kernel

_PROGRAM = b"\nint on_time(struct bpf_raw_tracepoint_args *ctx) { return bucket_of(ctx->args[0]); }"
_BPF_SYSCALL = 321
_PROG_TEST_RUN = 10
Bucket = Callable[[int], tuple[int, int]]
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def bucket_in_kernel(headers_cache: Path) -> Iterator[Bucket]:
    """Runs bucket_of() of buckets.bpf.h in the kernel, and returns octave and quarter."""
    # BCC reads this when it compiles; there is no argument for it.
    os.environ["BCC_KERNEL_SOURCE"] = str(ensure_headers(headers_cache))
    module = bcc.BPF(text=(FOLDER / "buckets.bpf.h").read_bytes() + _PROGRAM, cflags=[])
    program = module.load_func(b"on_time", bcc.BPF.RAW_TRACEPOINT).fd

    def run(ns: int) -> tuple[int, int]:
        given = ctypes.create_string_buffer(struct.pack("=Q", ns), 8)
        # union bpf_attr, test: prog_fd, retval, 4 sizes and addresses of data, repeat, ctx_size_in, ctx_in
        attr = bytearray(80)
        struct.pack_into("=I", attr, 0, program)
        struct.pack_into("=I", attr, 40, 8)
        struct.pack_into("=Q", attr, 48, ctypes.addressof(given))
        raw = ctypes.create_string_buffer(bytes(attr), len(attr))
        assert _libc.syscall(_BPF_SYSCALL, _PROG_TEST_RUN, raw, len(attr)) == 0, os.strerror(
            ctypes.get_errno()
        )
        (found,) = struct.unpack_from("=I", raw, 4)
        # The programs' octaves are 2 more, so that they are numbers without a sign.
        return (found >> 2) - 2, found & 3

    yield run
    module.cleanup()


def test_every_edge_is_where_the_vocabulary_has_it(bucket_in_kernel: Bucket) -> None:
    edges = {
        lower_ns(octave, quarter)
        for octave in range(FIRST_OCTAVE, LAST_OCTAVE + 1)
        for quarter in range(QUARTERS)
    }
    times = {max(0, edge + off) for edge in edges for off in (-1, 0, 1)} | {2**32 - 1, 2**32, 2**64 - 1}
    assert len(edges) == (LAST_OCTAVE - FIRST_OCTAVE + 1) * QUARTERS
    for ns in sorted(times):
        assert bucket_in_kernel(ns) == bucket_of(ns), ns
