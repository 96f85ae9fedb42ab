# SPDX-License-Identifier: Apache-2.0
"""The migration of events from sentences to fields keeps what they say, up and down."""

from contextlib import closing
from typing import Any

from backend.store import open_store
from backend.store.contract.values import TimeRange
from backend.store.sql.migrate import check_drift, downgrade, migrate
from faultmodel.kinds import EventKind, EventReason, RecordingLevel, TimesOf
from faultmodel.record import EventFacts, HostEvent
from tests.backend.store.conftest import NewUrl
from tests.backend.store.migrating import rows, tables, write
from tests.batches import (
    START_NS,
    VM_ID,
    make_batch,
    make_host,
    make_vm,
)

_BUDGET = EventFacts(used_ppm=21_000, granted_ppm=10_000)
_SPAN = EventFacts(from_ns=START_NS, to_ns=START_NS + 9 * 10**9, clock_set_s=-3)
_WHEN = "2027-01-15T08:00:00Z"
_SAID: list[tuple[dict[str, Any], tuple[str, int | None]]] = [
    # What an event is, and how the release before says it: in words, and with the number of one_in.
    (
        {
            "kind": EventKind.RECORDS,
            "level": RecordingLevel.NONE,
            "reason": EventReason.BUDGET,
            "facts": _BUDGET,
        },
        ("records: none (2.1% of a core used, 1% granted)", 0),
    ),
    (
        {"kind": EventKind.RECORDS, "level": RecordingLevel.SAMPLE, "facts": EventFacts(per_second=100)},
        ("records: a sample, at most 100 a second and VM", None),
    ),
    ({"kind": EventKind.RECORDS, "level": RecordingLevel.NONE}, ("records: none", 0)),
    (
        {
            "kind": EventKind.VM_RECORDS,
            "vm": VM_ID,
            "level": RecordingLevel.ALL,
            "reason": EventReason.ASKED_FOR,
        },
        ("records of a: none left: every fault", 1),
    ),
    (
        {
            "kind": EventKind.VM_RECORDS,
            "vm": VM_ID,
            "level": RecordingLevel.NONE,
            "reason": EventReason.NO_LONGER_ASKED_FOR,
        },
        ("records of a: none left: as of the others", 0),
    ),
    (
        {"kind": EventKind.ATTACHED, "reason": EventReason.NOT_PINNED, "detail": "no BPF file system"},
        ("counting ends with the collector: no BPF file system", None),
    ),
    (
        {"kind": EventKind.TAKEN_OVER, "reason": EventReason.COLLECTOR_AWAY},
        ("counting went on while no collector ran", None),
    ),
    (
        {"kind": EventKind.REPLACED, "reason": EventReason.UNREAD, "facts": EventFacts(from_ns=START_NS)},
        (
            "a set of programs that nobody read any more was removed; what it had counted since"
            f" {_WHEN} is lost",
            None,
        ),
    ),
    (
        {"kind": EventKind.REPLACED, "reason": EventReason.RENAMED, "facts": EventFacts(former_host="old")},
        ("counts from here on, and since the last batch before, have this host's name; it was 'old'", None),
    ),
    (
        {"kind": EventKind.ENDED_UNSEEN, "vm": VM_ID, "facts": _SPAN},
        (
            f"a: none left (process 4242) ended between {_WHEN} and 2027-01-15T08:00:09Z;"
            " the clock was set back by 3 s meanwhile",
            None,
        ),
    ),
    ({"kind": EventKind.ENDED_UNSEEN, "facts": EventFacts(count=7)}, ("so did 7 more", None)),
    ({"kind": EventKind.CLOCK_STEPPED, "facts": EventFacts(shift_s=30)}, ("times set back by 30 s", None)),
    (
        {"kind": EventKind.TIMES_MOVED, "facts": EventFacts(moved=(TimesOf.COUNTS, TimesOf.ENDS))},
        ("counts, ends of VMs", None),
    ),
    (
        {"kind": EventKind.SERVER_CLOCK_WAS_AHEAD, "facts": EventFacts(shift_s=9)},
        ("by 9 s; what was received then is set to now", None),
    ),
    ({"kind": EventKind.STOPPED}, ("", None)),
]


def test_events_keep_what_they_say_where_they_are_taken_back(new_url: NewUrl) -> None:
    url = new_url()
    events = [HostEvent(time_ns=START_NS + number, **fields) for number, (fields, _) in enumerate(_SAID)]
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(vms=[make_vm(name="a: none left")], events=events), START_NS)
        before = store.host_events(None, TimeRange(), limit=99, before=None)
    assert [row.event for row in reversed(before)] == events

    for revision in ("0011", "0007", "0011"):
        downgrade(url, revision)
        assert rows(url, "SELECT detail, one_in FROM host_events ORDER BY time_ns") == [
            said for _, said in _SAID
        ]
        migrate(url)
        assert check_drift(url) == []
        with closing(open_store(url)) as store:
            assert store.host_events(None, TimeRange(), limit=99, before=None) == before

    downgrade(url, "base")
    assert tables(url) <= {"alembic_version"}


def test_which_earlier_events_were_the_governors_is_known(new_url: NewUrl) -> None:
    url = new_url()
    steps = [
        (EventKind.ATTACHED, None),
        (EventKind.RECORDS, RecordingLevel.SAMPLE),
        (EventKind.RECORDS, RecordingLevel.NONE),
        (EventKind.VM_RECORDS, RecordingLevel.ALL),
        (EventKind.RECORDS, RecordingLevel.SAMPLE),
        # Another collector, which was started to record nothing.
        (EventKind.TAKEN_OVER, None),
        (EventKind.RECORDS, RecordingLevel.NONE),
    ]
    events = [
        HostEvent(time_ns=START_NS + number, kind=kind, level=level, detail="in words")
        for number, (kind, level) in enumerate(steps)
    ]
    with closing(open_store(url)) as store:
        for number, name in enumerate("ab"):
            batch = make_batch(host=make_host(name), stream=f"{number:032x}", events=events)
            assert store.apply(batch, START_NS)
    downgrade(url, "0011")
    # As the release before leaves them.
    write(url, "DELETE FROM host_event_facts")
    migrate(url)

    with closing(open_store(url)) as store:
        rows = store.host_events(["a"], TimeRange(), limit=99, before=None)
    found = [(row.event.kind, row.event.level, row.event.reason) for row in reversed(rows)]
    budget = [EventReason.BUDGET if number in (2, 4) else None for number in range(len(steps))]
    assert found == [(*step, reason) for step, reason in zip(steps, budget, strict=True)]
    assert {row.event.detail for row in rows} == {"in words"}
