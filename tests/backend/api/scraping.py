# SPDX-License-Identifier: Apache-2.0
"""Scrapes of a server in-process, and batches of a VM that faults."""

import httpx

from faultmodel.record import Span
from faultmodel.wire import Batch
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_NS, VM_ID, fault_count, make_batch
from tests.scraped import Scrape

READ, WRITE = 0x1, 0x2
"""Words of accesses."""


def asked(server: Server, **headers: str) -> httpx.Response:
    """Return the answer to a scrape."""
    response = server.request("GET", "/metrics", headers=headers)
    assert response.status_code == 200, response.text
    return response


def scraped(server: Server) -> Scrape:
    """Return what a scrape says."""
    return Scrape(asked(server).text)


def second_of(second: int, vm_id: str = VM_ID, *, faults: int = 10, sequence: int | None = None) -> Batch:
    """Return the batch of a second in which a VM had so many faults, reads, that were recorded in part."""
    start_ns = START_NS + second * NS_PER_S
    return make_batch(
        second if sequence is None else sequence,
        covered=[Span(start_ns, start_ns + NS_PER_S)],
        fault_counts=[fault_count(vm_id, second=second, word=READ, faults=faults)],
    )
