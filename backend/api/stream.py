# SPDX-License-Identifier: Apache-2.0
"""What hosts report, as it is stored, as server-sent events: for programs."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import NamedOrDescribed
from backend.api.events import RECHECK_S, EventStreamResponse, place_of, right_to_read
from backend.api.presented import exit_body
from backend.api.presented_livelocks import livelock_body
from backend.api.presented_outstanding import listed_body
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.errors import NotFoundError, StoreError, TooLongError
from backend.feed import Feed, Item, Page
from backend.live import HEARTBEAT_S
from backend.query.choice import Choice
from backend.query.cursors import event_id, read_event_id
from backend.store.contract.arrivals import Arrival, ArrivalKind
from backend.store.contract.store import Store
from backend.store.contract.vms import VmMember
from backend.threads import Threads
from backend.times import rfc3339_ns
from faultmodel.units import NS_PER_S

router = APIRouter(prefix="/api/v1/stream", tags=["Events"])

LAST_EVENT_ID = "Last-Event-ID"
_RECONNECT_MS = 1000
_MOST_DECIDED = 10_000
"""VMs of which a reader remembers whether it wants them."""
_BODIES: Mapping[ArrivalKind, Callable[[Any], BaseModel]] = {
    ArrivalKind.EXIT: exit_body,
    ArrivalKind.LIVELOCK: livelock_body,
    ArrivalKind.OUTSTANDING: listed_body,
    ArrivalKind.RESOLVED: listed_body,
    ArrivalKind.NOT_SHOWN: listed_body,
}
"""What is sent of an item, by the name of its event."""
_EXAMPLE = (
    "retry: 1000\nid: dAAAAAAAAABBaWGpUA\n\n"
    'id: dAAAAAAAAABCaWGpUQ\nevent: exit\ndata: {"time":"2026-01-31T12:00:00.123456789Z",'
    '"vm":"00000000000000a1","vcpu":0,"arch":"x86_64","kind":"memory_fault","reason":39,...}\n\n'
)


class StreamParameters(NamedOrDescribed):
    """Of which VMs, each judged by what is known of it when an item of it is read; and what of them."""

    kind: list[ArrivalKind] = Field(
        [],
        max_length=len(ArrivalKind),
        description="Only events of this name, `missed` aside. May be given several times.",
        examples=[["exit", "livelock"]],
    )

    @property
    def kinds(self) -> Collection[ArrivalKind]:
        """What is asked for."""
        return frozenset(self.kind or ArrivalKind)


def written(arrival: Arrival) -> str:
    """Return an item's event without its id."""
    return _event(arrival.kind, _BODIES[arrival.kind](arrival.item))


@router.get(
    "",
    response_class=EventStreamResponse,
    responses={
        **reader_problems(404),
        200: {
            "description": "An event `exit` for each exit once it is stored: its data is an item of "
            "`/api/v1/exits`. An event `livelock` when one has begun and when it is over: an item of "
            "`/api/v1/livelocks`. An event `outstanding` when a fault under way is listed first, and when "
            "what it waits for or the state of its handler has changed; `resolved` when it is not listed any "
            "more, `not_shown` when it is not since its host has shed what shows it: an item of "
            "`/api/v1/outstanding` as it was listed then, or last. An event `missed` where "
            "some are left out; its `reason` is `slow` (`count`, `first` and `last` say how many and of what "
            "time, `after` behind which id they come), `not_kept` (what is older than `kept_from`) or "
            "`unknown_id`. What is in between keeps the connection open, and has the newest id.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
    },
)
async def follow(
    request: Request,
    services: ServicesDep,
    asked: Annotated[StreamParameters, Query()],
    last_event_id: Annotated[
        str | SkipJsonSchema[None],
        Header(
            alias=LAST_EVENT_ID,
            max_length=64,
            description="The id of the last event that was received: the stream goes on behind it. Without "
            "one, with what is stored from now on.",
            examples=["dAAAAAAAAABBaWGpUA"],
        ),
    ] = None,
) -> EventStreamResponse:
    """Stream exits, livelocks and faults under way as they are stored.

    From a last event on, exactly those that came since and are kept.
    """
    last = read_event_id(LAST_EVENT_ID, last_event_id) if last_event_id else None
    asked.check_one_way()
    give_back = place_of(request, services)
    try:
        wanted = Wanted(services.store, services.checking, asked)
        await wanted.check()
        settled = await services.feed.settled()
        reader = Reader(services.feed, wanted, asked.kinds, settled.to, services.now_ns() // NS_PER_S)
        if last is not None:
            reader.resume(*last, newest=settled.newest)
        leave = services.feed.join()
    except BaseException:
        give_back()
        raise

    def end() -> None:
        leave()
        give_back()

    return EventStreamResponse(reader.texts(right_to_read(request, services)), end)


class Wanted:
    """Which VMs a reader has asked for, by what is known of each when something of it is read."""

    def __init__(self, store: Store, threads: Threads, asked: NamedOrDescribed) -> None:
        self._store = store
        self._threads = threads
        self._asked = asked
        self._ids = frozenset(asked.vm_ids)
        self._is_everyone = not (asked.vm or asked.guest or asked.chooses)
        self._decided: dict[VmMember, bool] = {}

    async def check(self) -> None:
        """Raise NotFoundError where a VM or guest that is named is unknown."""
        if self._ids:
            await self._threads.run(self._store.host_of, self._asked.vm_ids)
        if self._asked.guest:
            await self._threads.run(self._store.guests_named, self._asked.guest_ids)

    async def of(self, vms: Iterable[VmMember]) -> Collection[int]:
        """Return the numbers of those VMs that are wanted."""
        by_key = {_known_of(vm): vm.number for vm in {vm.number: vm for vm in vms}.values()}
        if self._is_everyone:
            return set(by_key.values())
        unknown = by_key.keys() - self._decided.keys()
        if unknown:
            if len(self._decided) > _MOST_DECIDED:
                self._decided.clear()
                unknown = set(by_key)
            choice = await self._threads.run(self._choice)
            self._decided |= {vm: self._takes(choice, vm) for vm in unknown}
        return {number for vm, number in by_key.items() if self._decided[vm]}

    def _takes(self, choice: Choice, vm: VmMember) -> bool:
        return (not self._ids or vm.id in self._ids) and choice.takes(vm)

    def _choice(self) -> Choice:
        choice = self._asked.choice_of(self._store)
        if not self._asked.guest:
            return choice
        current: set[str] = set()
        for guest_id in self._asked.guest_ids:
            try:
                current |= {guest.id for guest in self._store.guests_named([guest_id]).values()}
            except NotFoundError:  # It was removed meanwhile.
                continue
        return replace(choice, where=replace(choice.where, guests=tuple(current)))


class Reader:
    """One who follows the feed: a place among the numbers of what was stored.

    ``known_s``: as of when it has all up to that place, s since the epoch.
    """

    def __init__(
        self, feed: Feed, wanted: Wanted, kinds: Collection[ArrivalKind], place: int, known_s: int
    ) -> None:
        """Begin with what is stored from now on."""
        self._feed = feed
        self._wanted = wanted
        self._kinds = kinds
        self._place = place
        self._known_s = known_s
        self._is_up_to_date = False
        """Whether it has got everything once: only then it can be slow."""
        self._first = ""
        self._noted = 0
        """Up to which number it has said that changes are not kept."""

    def resume(self, place: int, known_s: int, *, newest: int) -> None:
        """Go on behind an event. :param newest: the greatest number that was given to anything"""
        if place > newest:
            self._first = self._missed(schemas.Missed(reason=schemas.MissedReason.UNKNOWN_ID))
        else:
            self._place, self._known_s = place, known_s

    async def texts(self, may_still_read: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Yield events until the server ends, or the right to read does."""
        yield f"retry: {_RECONNECT_MS}\nid: {self._id()}\n\n{self._first}"
        checked_s = sent_s = time.monotonic()
        while not self._feed.is_closed:
            await self._feed.wait(self._place, max(0.0, sent_s + HEARTBEAT_S - time.monotonic()))
            if time.monotonic() - checked_s >= RECHECK_S:
                if not await may_still_read():
                    return
                checked_s = time.monotonic()
            try:
                text = "" if self._feed.is_closed else await self._next()
            except StoreError:
                # Whoever connects again goes on behind what it has.
                return
            if not text and time.monotonic() - sent_s >= HEARTBEAT_S:
                text = f": nothing new\nid: {self._id()}\n\n"
            if text:
                yield text
                sent_s = time.monotonic()

    async def _next(self) -> str:
        if not self._feed.has_dropped(self._place):
            page = self._feed.page(self._place)
            self._is_up_to_date |= self._feed.has_begun
            return "" if page is None else await self._sent(page)
        if self._is_up_to_date:
            return await self._skip()
        page = await self._feed.stored_page(self._place)
        before = self._not_kept(page)
        # As of when it has all of what is stored, it is not known until it is up to date.
        items = [item._replace(known_s=self._known_s) for item in page.items]
        text = before + await self._sent(page._replace(items=items))
        self._is_up_to_date = not self._feed.has_dropped(self._place)
        return text

    def _not_kept(self, page: Page) -> str:
        """Say from when on all is kept, where some of what came behind its place may not be."""
        from_s = []
        if ArrivalKind.EXIT in self._kinds and (page.kept_from_s or 0) > self._known_s:
            from_s.append(page.kept_from_s or 0)
        wants_changes = any(kind is not ArrivalKind.EXIT for kind in self._kinds)
        if wants_changes and page.changes is not None and page.changes.after > max(self._place, self._noted):
            self._noted = page.changes.after
            from_s.append(page.changes.from_s)
        if not from_s:
            return ""
        self._known_s = max(self._known_s, *from_s)
        kept_from = rfc3339_ns(max(from_s) * NS_PER_S)
        return self._missed(schemas.Missed(reason=schemas.MissedReason.NOT_KEPT, kept_from=kept_from))

    async def _sent(self, page: Page) -> str:
        numbers = await self._wanted.of(item.vm for item in page.items)
        self._place = page.to
        if page.items:
            self._known_s = page.items[-1].known_s
        return "".join(_with_id(item) for item in page.items if self._takes(item.vm, item.kind, numbers))

    def _takes(self, vm: VmMember, kind: ArrivalKind, numbers: Collection[int]) -> bool:
        return vm.number in numbers and kind in self._kinds

    async def _skip(self) -> str:
        """Go on with the newest, and say what is left out by that."""
        last_id, to = self._id(), self._feed.newest()
        try:
            found = await self._feed.counts(self._place, to)
        except TooLongError:
            self._place = to
            return self._missed(schemas.Missed(reason=schemas.MissedReason.SLOW, after=last_id))
        numbers = await self._wanted.of(one.vm for one in found)
        chosen = [one for one in found if self._takes(one.vm, one.kind, numbers)]
        self._place = to
        if not chosen:
            return ""
        return self._missed(
            schemas.Missed(
                reason=schemas.MissedReason.SLOW,
                count=sum(one.count for one in chosen),
                first=rfc3339_ns(min(one.first_ns for one in chosen)),
                last=rfc3339_ns(max(one.last_ns for one in chosen)),
                after=last_id,
            )
        )

    def _missed(self, body: schemas.Missed) -> str:
        return f"id: {self._id()}\n{_event('missed', body)}"

    def _id(self) -> str:
        return event_id(self._place, self._known_s)


def _with_id(item: Item) -> str:
    return f"id: {event_id(item.position, item.known_s)}\n{item.text}"


def _event(name: str, body: BaseModel) -> str:
    return f"event: {name}\ndata: {body.model_dump_json()}\n\n"


def _known_of(vm: VmMember) -> VmMember:
    """Return what is known of a VM without what changes while it runs."""
    return vm._replace(ended_ns=None, first_seen_ms=0, life_end_ms=0, is_current=False)
