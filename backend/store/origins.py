"""Which token brought what: each stream's tokens, and each VM's streams."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from backend.store.tables import stream_tokens, vm_streams
from backend.store.writer import Writer, columns_of

_known = select(stream_tokens.c.token).where(
    stream_tokens.c.stream_id == bindparam("of_stream"), stream_tokens.c.token == bindparam("shown")
)


def remember_token(writer: Writer, stream_id: int, token: str) -> None:
    """Remember that a token, by its hash, brought a batch of a stream."""
    if writer.connection.scalar(_known, {"of_stream": stream_id, "shown": token}) is None:
        writer.connection.execute(writer.insert(stream_tokens).values(stream_id=stream_id, token=token))


def remember_streams(writer: Writer, vm_numbers: Sequence[int], stream_id: int) -> None:
    """Remember that a stream described VMs."""
    if vm_numbers:
        writer.add(vm_streams, columns_of((number, stream_id) for number in sorted(vm_numbers)))
