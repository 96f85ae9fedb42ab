# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked: with counts and records in ClickHouse the answer is what one database gives."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backend.query.rate_keys import EXIT_BY, By, Metric
from backend.store import open_store
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from faultmodel import arch
from faultmodel.kinds import LossKind
from faultmodel.record import Cost, Loss, Span
from faultmodel.record_stalls import HostPressure, Pressure, WaitCount
from faultmodel.waits import WaitsFor
from faultmodel.wire import Batch
from tests.backend.serving import Server, make_server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    START_S,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
    stall_count,
)
from tests.clickhouse import ClickHouse
from tests.scraped import Scrape

SEED = 20260
HOUR_S = 3600
NOW_S = START_S + 3 * HOUR_S
CLAIM = JobClaim(name="rollup", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
ARCHES = sorted(arch.architectures())
RANGES = (
    {"from": START_MS, "to": START_MS + 60_000, "step": "1s"},
    {"from": START_MS, "to": START_MS + 3 * HOUR_S * 1000, "step": "1m"},
    {"from": START_MS, "to": START_MS + 3 * HOUR_S * 1000, "step": "1h"},
)
_OWN = re.compile(r"^(next_cursor|cursor|version|position|bytes|rows)$")
"""Names of what differs between two stores: places, sizes and states are each one's own."""


def batches() -> Iterator[Batch]:
    """Yield batches of some hosts, in a random order of time, with new VMs now and then."""
    random = Random(SEED)
    for number in range(24):
        host = random.randrange(3)
        arch_name = ARCHES[host % len(ARCHES)]
        second = random.choice((number * 9, random.randrange(2 * HOUR_S)))
        start_ns = START_NS + second * NS_PER_S
        vms = [f"{host + 1:08x}{random.randrange(1 + number // 4):08x}" for _ in range(2)]
        vms = sorted(set(vms))
        words = [random.choice((0, 1, 4, 7, 2**63 + 1, 2**64 - 1)) for _ in range(3)]
        counts = {(vm, random.randrange(4), word): random.randrange(1, 9) for vm in vms for word in words}
        yield make_batch(
            number,
            stream=f"{host:032x}",
            arch=arch_name,
            host=make_host(f"host-{host}", arch=arch_name),
            vms=[make_vm(vm, pid=int(vm[-4:], 16) + 10) for vm in vms],
            covered=[Span(start_ns, start_ns + NS_PER_S)],
            fault_counts=[
                fault_count(vm, arch_name=arch_name, second=second, vcpu=vcpu, word=word, faults=count)
                for (vm, vcpu, word), count in counts.items()
            ],
            exit_counts=[
                exit_count(vm, second=second, reason=reason, errno=errno, count=random.randrange(1, 5))
                for vm in vms
                for reason, errno in ((39, 14), (0, 14), (5, 0))
            ],
            exits=[
                exit_record(vm, arch_name=arch_name, time_ns=start_ns + place) for place, vm in enumerate(vms)
            ],
            stalls=[stall_count(vm, second=second, q1=random.randrange(9)) for vm in vms],
            waits=[
                WaitCount(START_MS + second * 1000, vm, waits_for, "", 1, random.randrange(10**9))
                for vm in vms
                for waits_for in (WaitsFor.SWAP, WaitsFor.MEMCG)
            ],
            pressures=[Pressure(START_MS + second * 1000, vm, random.randrange(10**9), number) for vm in vms],
            host_pressures=[HostPressure(START_MS + second * 1000, random.randrange(10**9), number)],
            faults=[
                fault_record(vm, arch_name=arch_name, time_ns=start_ns + place, word=words[0])
                for place, vm in enumerate(vms)
            ],
            ledger=[
                ledger_entry(
                    vm,
                    second=second,
                    seen=sum(count for (of, *_), count in counts.items() if of == vm),
                    seen_total=10**6,
                )
                for vm in vms
            ],
            lost=[Loss(LossKind.KEYS_FULL, random.randrange(3))],
            costs=[
                Cost(
                    from_ns=start_ns,
                    to_ns=start_ns + random.choice((NS_PER_S, NS_PER_S // 3)),
                    cpu_ns=10**6,
                    resident_bytes=random.randrange(10**6, 10**7),
                    program_ns=random.choice((None, 10**5)),
                    program_runs=17,
                )
            ],
        )


@pytest.fixture
def servers(migrated_file: Path, tmp_path: Path, clickhouse: ClickHouse) -> Iterator[tuple[Server, Server]]:
    """Yield a server on one database and one whose series is in ClickHouse, to which the same was sent."""
    clickhouse.empty()
    with ExitStack() as stack:
        stores: list[Store] = []
        for name, series in (("alone", None), ("catalog", clickhouse.url)):
            url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / name)}"
            stores.append(stack.enter_context(closing(open_store(url, series))))
            stores[-1].prepare()
            assert stores[-1].claim_job(CLAIM)
        for number, batch in enumerate(batches()):
            for store in stores:
                assert store.apply(batch, NOW_S * NS_PER_S)
                while number in (11, 18) and store.roll_up(NOW_S, CLAIM):
                    pass
        made = [make_server(store) for store in stores]
        for server in made:
            server.clock.now_ns = NOW_S * NS_PER_S
        yield made[0], made[1]


def questions(server: Server) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each path that reads what was stored, with what may be asked."""
    yield "/api/v1/status", {}
    yield "/api/v1/host-events", {}
    vms = [vm["id"] for vm in server.get("/api/v1/vms", limit=99)["items"]]
    assert len(vms) > 8
    guests = [guest["id"] for guest in server.get("/api/v1/guests")["items"]]
    for span in RANGES:
        within = {name: span[name] for name in ("from", "to")}
        yield "/api/v1/vms", {**within, "totals": "true", "trend": "20", "sort": "-faults"}
        yield "/api/v1/guests", within
        for metric in Metric:
            for by in By if metric is Metric.FAULTS else EXIT_BY:
                chosen = {"vm": vms[0]} if by == By.VCPU else {}
                yield "/api/v1/rates", {**span, **chosen, "metric": metric, "by": by}
        for path in ("/api/v1/ledger", "/api/v1/costs", "/api/v1/stall/heat", "/api/v1/waits/series"):
            yield path, span
        yield "/api/v1/pressure/series", {**span, "vm": vms[0]}
        for path in (
            "stall",
            "outcomes",
            "waits",
            "pressure",
            "memslots",
            "kvm-stats",
            "causes",
            "livelocks",
            "outstanding",
        ):
            yield f"/api/v1/{path}", within
        yield "/api/v1/exits", {**within, "limit": 20}
        for vm in vms[:2]:
            yield f"/api/v1/vms/{vm}", within
            for part in ("flags", "syndromes", "faults"):
                yield f"/api/v1/vms/{vm}/{part}", within
        for guest in guests[:1]:
            yield f"/api/v1/guests/{guest}", within
            for part in ("flags", "syndromes", "faults"):
                yield f"/api/v1/guests/{guest}/{part}", within


def test_every_answer_is_the_same(servers: tuple[Server, Server]) -> None:
    alone, _ = servers
    answered = 0
    for path, parameters in questions(alone):
        expected, found = (_comparable(server.get(path, **parameters)) for server in servers)
        assert _differing(expected, found) == [], (path, parameters)
        answered += 1
    assert answered > 60


def test_a_scrape_is_the_same(servers: tuple[Server, Server]) -> None:
    alone, other = (
        [
            (name, sorted(labels.items()), pytest.approx(value))
            for name, labels, value in Scrape(server.request("GET", "/metrics").text).samples
            if name != "kvmfaults_database_bytes"
        ]
        for server in servers
    )
    assert len(alone) > 500
    assert other == alone


def _comparable(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _comparable(value) for name, value in answer.items() if not _OWN.match(name)}
    return [_comparable(item) for item in answer] if isinstance(answer, list) else answer


def _differing(expected: Any, found: Any, at: str = "") -> list[str]:
    """Return where two answers differ; numbers that were summed in another order do not."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return [one for name in expected for one in _differing(expected[name], found[name], f"{at}.{name}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [one for place, two in pairs for one in _differing(*two, f"{at}[{place}]")]
    if isinstance(expected, float) and isinstance(found, float) and found == pytest.approx(expected):
        return []
    return [] if expected == found else [f"{at}: {expected} != {found}"]
