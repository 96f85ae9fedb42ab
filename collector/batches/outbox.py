# SPDX-License-Identifier: Apache-2.0
"""Numbers batches and puts them into the spool, a reading at a time."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from collector.batches.drop_notices import drop_notice, is_of, resent
from collector.batches.parts import cut_to_size
from collector.spool.aside import Reason
from collector.spool.entry import Parcel
from collector.spool.queue import Spool
from faultmodel import wire
from faultmodel.kinds import CheckState, LossKind
from faultmodel.record import DETAIL_LENGTH, Check, Host, Loss
from faultmodel.sections import Content, rows_of
from faultmodel.text import cut


class Outbox:
    """The batches of one stream: one start of one collector."""

    def __init__(self, spool: Spool, arch: str) -> None:
        self._spool = spool
        self._arch = arch
        self._stream = uuid.uuid4().hex
        self._sequence = 0

    @property
    def dropped_batches(self) -> int:
        """How many batches were dropped since the spool was opened: their content will not arrive."""
        return self._spool.dropped_since_open

    def send(
        self,
        host: Host,
        content: Content,
        *,
        counting: str = "",
        checkpoint: bytes = b"",
        commit: Callable[[int], None] = lambda _number: None,
    ) -> None:
        """Put a reading into the spool, as one batch, or as several if it is large.

        Batches with pending drop notices go before it.

        :param counting: id of the counting, 32 hexadecimal digits. A batch that belongs to no counting has
            the stream's id instead.
        :param checkpoint: see ``Spool.put_group``, also for ``commit``
        """
        parts = list(cut_to_size(content))
        dropped = self._spool.dropped_batches
        pending = {
            number: notice
            for number, notice in self._spool.pending_notices.items()
            if is_of(notice, host.name)
        }
        host = _with_note(host, self._spool.aside)
        if dropped:
            parts[-1] = replace(parts[-1], lost=(*parts[-1].lost, Loss(LossKind.SPOOL_BATCHES, dropped)))
        counting = counting or self._stream
        seen = {entry.vm for entry in content.ledger}
        parcels = [
            # With the boot id of that time: a VM of an earlier boot does not run any more.
            self._parcel(msgspec.structs.replace(host, boot_id=part.boot_id), part.content, part.counting, 0)
            for part in resent(pending.values(), counting, seen)
        ]
        parcels += [self._parcel(host, part, counting, place) for place, part in enumerate(parts)]
        self._spool.put_group(
            parcels, reporting=dropped, carrying=pending, checkpoint=checkpoint, commit=commit
        )

    def _parcel(self, host: Host, content: Content, counting: str, part: int) -> Parcel:
        return Parcel(self._encode(host, content, counting, part), drop_notice(host, counting, content))

    def _encode(self, host: Host, content: Content, counting: str, part: int) -> bytes:
        batch = wire.Batch(
            host=host,
            stream=self._stream,
            sequence=self._sequence,
            arch=self._arch,
            counting=counting,
            part=part,
            **rows_of(content),
        )
        self._sequence += 1
        return wire.encode(batch)


def _with_note(host: Host, aside: Mapping[int, Reason]) -> Host:
    """Add to the host's description how many batches are put aside."""
    if not aside:
        return host
    *_, newest = aside.values()
    are = "batch is" if len(aside) == 1 else "batches are"
    check = Check(
        name="aside",
        state=CheckState.LACKING,
        found=cut(f"{len(aside)} {are} put aside ({newest.detail})", DETAIL_LENGTH),
        remedy="see kvmfaults-collector spool list",
    )
    return msgspec.structs.replace(host, checks=(*host.checks, check))
