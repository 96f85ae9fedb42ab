# SPDX-License-Identifier: Apache-2.0
"""Takes a collector's batch: reads it, checks whose it is, stores it once."""

from collections.abc import Callable, Sequence

from backend.errors import WrongHostError
from backend.quotas import Quotas
from backend.store.contract.bounds import check_bounds, counted_in
from backend.store.contract.hosts import BELOW
from backend.store.contract.parts import NotStored, storable
from backend.store.contract.store import Store
from faultmodel import wire
from faultmodel.kinds import HostState
from faultmodel.record import Host
from faultmodel.text import printable


def ingest(
    store: Store, quotas: Quotas, body: bytes, *, host: str, token: str, now_ns: Callable[[], int]
) -> tuple[bool, Sequence[NotStored]]:
    """Store a batch of this host; one that was stored before changes nothing.

    :param body: at most ``wire.MAX_BATCH_BYTES``, encoded as ``faultmodel.wire`` has it
    :param token: the hash of the token that brought it
    :param now_ns: the server's clock; what waited for a thread is received when it has one
    :return: whether it was new, and which parts of it could not be stored
    :raises WireError: the bytes are no batch
    :raises WrongHostError: it is another host's
    :raises BatchError: it contradicts itself
    :raises NotNowError: it may be stored later; its host has handed in too much, say
    :raises StoreError: the database cannot take it now
    """
    # To find out that bytes are no batch takes as long as to read one.
    quotas.admit(host, len(body))
    batch = wire.decode(body)
    if not _is_of(batch.host, printable(host)):
        raise WrongHostError(f"this token is for host {host!r}, the batch is of host {batch.host.name!r}")
    part, left_out = storable(batch)
    # What can never be stored takes nothing away from what can.
    check_bounds(part)
    quotas.charge(host, part, counted=counted_in(part))
    is_new = store.apply(part, now_ns(), token)
    return is_new, left_out if is_new else ()


def _is_of(host: Host, owner: str) -> bool:
    """Return whether a token's host may bring this one: itself, or a recording that is named below it."""
    return host.name == owner or (host.state == HostState.REPLAY and host.name.startswith(f"{owner}{BELOW}"))
