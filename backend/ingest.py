"""Takes a collector's batch: reads it, checks whose it is, stores it once."""

from backend.errors import WrongHostError
from backend.quotas import Quotas
from backend.store.base import Store
from backend.store.hosts import RECORDING
from faultmodel import wire
from faultmodel.record import Host
from faultmodel.text import printable


def ingest(store: Store, quotas: Quotas, body: bytes, *, host: str, token: str, received_ns: int) -> bool:
    """Store a batch of this host; one that was stored before changes nothing.

    :param body: at most ``wire.MAX_BATCH_BYTES``, encoded as ``faultmodel.wire`` has it
    :param token: the hash of the token that brought it
    :return: whether it was new
    :raises WireError: the bytes are no batch
    :raises WrongHostError: it is another host's
    :raises BatchError: it contradicts itself
    :raises NotNowError: it may be stored later; its host has handed in too much, say
    :raises StoreError: the database cannot take it now
    """
    batch = wire.decode(body)
    if not _is_of(batch.host, printable(host)):
        raise WrongHostError(f"this token is for host {host!r}, the batch is of host {batch.host.name!r}")
    quotas.charge(host, batch, len(body))
    return store.apply(batch, received_ns, token)


def _is_of(host: Host, owner: str) -> bool:
    """Tell whether a token's host may bring this one: itself, or a recording that is named below it."""
    return host.name == owner or (host.state == RECORDING and host.name.startswith(f"{owner}/"))
