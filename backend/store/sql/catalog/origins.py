# SPDX-License-Identifier: Apache-2.0
"""Which token brought what: each stream's tokens, and each VM's streams.

What an earlier release stored was brought by a token that is not known, which is empty.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from backend.store.contract.access import Brought
from backend.store.sql.tables import hosts, stream_tokens, streams, vm_streams, vms
from backend.store.sql.writer import Writer, columns_of

_known = select(stream_tokens.c.token).where(
    stream_tokens.c.stream_id == bindparam("of_stream"), stream_tokens.c.token == bindparam("shown")
)
_beginning_so = (
    select(stream_tokens.c.token)
    .distinct()
    .where(stream_tokens.c.token != "", stream_tokens.c.token.startswith(bindparam("prefix")))
    .order_by(stream_tokens.c.token)
)

_recordings_of_unknown = (
    select(hosts.c.reported_name)
    .join(streams, streams.c.host_id == hosts.c.id)
    .join(stream_tokens, stream_tokens.c.stream_id == streams.c.id)
    .where(hosts.c.is_recording, stream_tokens.c.token == "")
    .distinct()
)


def remember_token(writer: Writer, stream_id: int, token: str) -> None:
    """Remember that a token, by its hash, brought a batch of a stream."""
    if writer.connection.scalar(_known, {"of_stream": stream_id, "shown": token}) is None:
        writer.connection.execute(writer.insert(stream_tokens).values(stream_id=stream_id, token=token))


def remember_streams(writer: Writer, vm_numbers: Sequence[int], stream_id: int) -> None:
    """Remember that a stream described VMs."""
    if vm_numbers:
        writer.add(vm_streams, columns_of((number, stream_id) for number in sorted(vm_numbers)))


def read_brought(connection: Connection, token: str) -> Brought:
    """Return what came by a token. A VM that streams of other tokens described too is shared."""
    own = select(stream_tokens.c.stream_id).where(stream_tokens.c.token == token)
    # A stream that others brought batches of, too, is not this token's alone.
    shared = select(stream_tokens.c.stream_id).where(
        stream_tokens.c.token != token, stream_tokens.c.stream_id.in_(own)
    )
    alone = set(
        connection.scalars(select(streams.c.id).where(streams.c.id.in_(own), streams.c.id.not_in(shared)))
    )
    described = connection.execute(
        select(vm_streams.c.vm_id, vm_streams.c.stream_id, vms.c.public_id)
        .join(vms, vms.c.id == vm_streams.c.vm_id)
        .where(vm_streams.c.vm_id.in_(select(vm_streams.c.vm_id).where(vm_streams.c.stream_id.in_(own))))
    ).all()
    of_others = {row.public_id for row in described if row.stream_id not in alone}
    names = connection.execute(
        select(hosts.c.id, hosts.c.name, streams.c.id.label("stream"))
        .join(streams, streams.c.host_id == hosts.c.id)
        .where(hosts.c.id.in_(select(streams.c.host_id).where(streams.c.id.in_(own))))
    ).all()
    kept = {row.name for row in names if row.stream not in alone}
    return Brought(
        hosts=sorted({row.name for row in names} - kept),
        shared_hosts=sorted(kept),
        vms=sorted({row.public_id for row in described} - of_others),
        shared_vms=sorted(of_others),
    )


def known_tokens(connection: Connection, prefix: str) -> Sequence[str]:
    """Return the hashes of tokens, revoked ones too, that brought something and begin so."""
    return list(connection.scalars(_beginning_so, {"prefix": prefix}))


def recordings_of_unknown_tokens(connection: Connection) -> Sequence[str]:
    """Return the names that recordings gave which a token that is not known brought."""
    return connection.scalars(_recordings_of_unknown).all()
