# SPDX-License-Identifier: Apache-2.0
"""A VM's page has its host record every fault of it, shows what became of that, and stops it."""

from itertools import count
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, Route, expect

from faultmodel.kinds import RecordingLevel
from faultmodel.record import Collector, Span
from faultmodel.record_answers import RecordAnswer
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, fault_count, ledger_entry, make_batch, make_host, make_vm
from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.scenes import LIVE_HOST

pytestmark = pytest.mark.browser

HOST = make_host(LIVE_HOST, collector=Collector(takes_requests=True, data_dir="/data"))
_numbers = count(0xE100)


def _batch(feed: Feed, vm: str, number: int, **sections: Any) -> Batch:
    second = feed.end_s - 20 + number
    start_ns = second * NS_PER_S
    counts = [msgspec.structs.replace(fault_count(vm, faults=5), bucket_ms=second * 1000)]
    ledger = [
        msgspec.structs.replace(
            ledger_entry(vm, seen=5, recorded=0, seen_total=5 * number), bucket_ms=second * 1000
        )
    ]
    return make_batch(
        number,
        host=HOST,
        stream=vm * 2,
        covered=[Span(start_ns, start_ns + NS_PER_S)],
        vms=[make_vm(vm, name="to-be-recorded", started_ns=(feed.end_s - 20) * NS_PER_S)],
        fault_counts=counts,
        ledger=ledger,
        **sections,
    )


@pytest.fixture
def vm() -> str:
    """A VM of each test's own: a request goes on after it."""
    return f"{next(_numbers):016x}"


@pytest.fixture
def page(visit: Visit, feed: Feed, vm: str) -> Page:
    """Its page. Its host takes requests."""
    feed.send(_batch(feed, vm, 1))
    return visit.go(f"/vms/{vm}?{visit.fixed(5)}")


def test_a_vm_is_recorded_and_that_is_stopped(page: Page, feed: Feed, vm: str) -> None:
    records = page.get_by_role("region", name="Single faults")
    expect(records.locator("code")).to_be_hidden()
    records.get_by_label("For how long").select_option("10 minutes")
    records.get_by_role("button", name="Record").click()
    expect(records).to_contain_text(f"Asked {LIVE_HOST} to record every fault of this VM")
    (request,) = feed.product.get(f"vms/{vm}/record")["items"]
    assert (request["seconds"], request["state"]) == (600, "asked")
    expect(records.get_by_role("button", name="Record")).to_be_hidden()

    records.get_by_role("button", name="Stop").click()
    expect(records).to_contain_text("The last recording is over: it was stopped.")
    assert feed.product.get(f"vms/{vm}/record")["items"][0]["end"] == "withdrawn"
    expect(records.get_by_role("button", name="Record")).to_be_visible()


def test_what_the_host_answers_is_shown(page: Page, feed: Feed, vm: str) -> None:
    records = page.get_by_role("region", name="Single faults")
    records.get_by_role("button", name="Record").click()
    expect(records).to_contain_text("Asked")
    request = feed.product.get(f"vms/{vm}/record")["items"][0]["id"]
    answer = RecordAnswer(
        request=request,
        time_ns=feed.end_s * NS_PER_S,
        part=0,
        is_found=True,
        level=RecordingLevel.ALL,
        all_ns=NS_PER_S,
        seen=5,
        recorded=4,
        dropped=1,
        cpu_ns=20_000_000,
        usual_cpu_ns=8_000_000,
    )
    feed.send(_batch(feed, vm, 2, record_answers=[answer]))
    page.reload()
    expect(records).to_contain_text("Every fault of this VM is being recorded")
    expect(records).to_contain_text("4 of 5 faults (80.0 %) recorded. 1 record found the buffer full.")
    expect(records).to_contain_text("12.0 ms of CPU time more than it usually does")


def test_who_has_no_right_to_it_reads_so_and_has_the_command(page: Page) -> None:
    detail = "the token is of kind read, this needs one of kind record"

    def refuse(route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
        else:
            route.fulfill(status=403, json={"title": "Forbidden", "detail": detail})

    page.route("**/record", refuse)
    records = page.get_by_role("region", name="Single faults")
    records.get_by_role("button", name="Record").click()
    expect(records.get_by_role("alert")).to_contain_text(f"It could not be asked: {detail}.")
    command = "kvmfaults-collector record to-be-recorded --for 60 --data-dir /data"
    expect(records.locator("code")).to_have_text(command)
