# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for a userfaultfd handler goes on, also where it fails or the page is there already."""

import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest

from demo import memory
from demo.memory import HostMemory
from demo.userfaultfd import Userfaultfd
from tests.kernel.slow_handler import SlowHandler

PATIENCE_S = 60


@pytest.fixture
def toucher() -> Iterator[ThreadPoolExecutor]:
    """A thread that touches memory. It ends after all that it waits for."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


def test_it_goes_on_where_the_handler_fails(toucher: ThreadPoolExecutor) -> None:
    def fail() -> None:
        raise ValueError("in the handler's thread")

    host = memory.anonymous(1)
    with pytest.raises(ValueError, match="in the handler's thread"), SlowHandler(host, meanwhile=fail):
        toucher.submit(_touch, host).result(PATIENCE_S)


def test_it_goes_on_where_what_the_handler_waits_for_never_comes(toucher: ThreadPoolExecutor) -> None:
    host = memory.anonymous(1)
    with SlowHandler(host, until=Event()) as handler:
        touched = toucher.submit(_touch, host)
    touched.result(PATIENCE_S)
    assert handler.spans_ns == []


def test_a_page_that_is_there_is_provided_again(toucher: ThreadPoolExecutor) -> None:
    host = memory.anonymous(1)
    with closing(Userfaultfd(host)) as userfaultfd:
        touched = toucher.submit(_touch, host)
        assert userfaultfd.touched(PATIENCE_S) == host.address
        userfaultfd.provide(host.address)
        touched.result(PATIENCE_S)
        userfaultfd.provide(host.address)


def _touch(host: HostMemory) -> None:
    # Other than most of ctypes, this lets other threads run meanwhile.
    ctypes.memmove(ctypes.create_string_buffer(1), host.address, 1)
