# SPDX-License-Identifier: Apache-2.0
"""One guest: its VMs on all hosts together, and what happened to it on the time line."""

import re

import pytest
from playwright.sync_api import Page, expect

from faultmodel.record import Span, Vm
from tests.batches import (
    NS_PER_S,
    START_MS,
    exit_count,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)
from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import figure, number, table
from tests.browser.scenes import LIVE_HOST

pytestmark = pytest.mark.browser
ONE_DOCUMENT = True

UUID = "0c9a6f1d-52a5-4ad5-8f43-0f6b1f0d7a11"
OTHER_HOST = "hv-fra-01"
FIRST, SECOND, THIRD = "00000000000000f1", "00000000000000f2", "00000000000000f3"


def life(feed: Feed, vm_id: str, from_s: int, to_s: int | None) -> Vm:
    """Return a VM of the guest that lives for these seconds before the scene's end."""
    return make_vm(
        vm_id,
        name="wanderer",
        uuid=UUID,
        pid=int(vm_id[-2:], 16),
        started_ns=(feed.end_s - from_s) * NS_PER_S,
        ended_ns=None if to_s is None else (feed.end_s - to_s) * NS_PER_S,
    )


@pytest.fixture(scope="module")
def guest(feed: Feed) -> str:
    """A guest that restarts five minutes after it started and moves to another host seven minutes later."""
    start_s = feed.end_s - 1200
    at = START_MS // 1000
    for host, vms, faults in (
        (LIVE_HOST, [life(feed, FIRST, 1200, 900), life(feed, SECOND, 890, 450)], {FIRST: 30, SECOND: 12}),
        (OTHER_HOST, [life(feed, THIRD, 480, None)], {THIRD: 7}),
    ):
        # The scene covers the other host.
        covered = (Span(start_s * NS_PER_S, feed.end_s * NS_PER_S),) if host == LIVE_HOST else ()
        feed.send(
            make_batch(
                host=make_host(host, boot_id=f"boot-of-{host}"),
                stream=f"{sum(host.encode()):032x}",
                covered=covered,
                vms=vms,
                fault_counts=[
                    fault_count(vm.id, second=vm.started_ns // NS_PER_S + 20 - at, faults=faults[vm.id])
                    for vm in vms
                ],
                ledger=[
                    ledger_entry(vm.id, second=vm.started_ns // NS_PER_S + 20 - at, seen=faults[vm.id])
                    for vm in vms
                ],
                exit_counts=[
                    exit_count(vm.id, second=vm.started_ns // NS_PER_S + 20 - at, count=faults[vm.id] // 3)
                    for vm in vms
                ],
            )
        )
    return str(feed.product.get(f"vms/{FIRST}")["guest"])


@pytest.fixture
def page(visit: Visit, guest: str) -> Page:
    """The guest's page, over all of its life."""
    return visit.go(f"/guests/{guest}?{visit.fixed(25)}")


def test_all_vms_of_a_guest_are_on_its_page(page: Page, visit: Visit, guest: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("wanderer")
    facts = page.locator(".facts").inner_text()
    for text in (UUID, OTHER_HOST, "its UUID, on every host", guest):
        assert text in facts
    assert number(figure(page, "faults")) == 49
    assert [figure(page, key) for key in ("vms", "running")] == ["3", "1"]
    rows = page.locator("#lives tbody tr")
    assert [row.split("\t")[1] for row in rows.all_inner_texts()] == [OTHER_HOST, LIVE_HOST, LIVE_HOST]
    lines = page.locator("#faults .legend").inner_text()
    assert f"on {OTHER_HOST}" in lines
    assert f"on {LIVE_HOST}" in lines
    assert [row[:2] for row in table(page.locator("#vcpus tbody"))] == [["0", "49"]]
    assert [row[2] for row in table(page.locator("#reasons tbody"))] == ["16"]
    expect(page.locator(".at-once")).to_contain_text(f"2 VMs ran at once on {OTHER_HOST} and {LIVE_HOST}")
    assert visit.problems == []


def test_what_happened_to_a_guest_is_on_the_time_line(page: Page) -> None:
    marks = " ".join(
        str(mark.get_attribute("aria-label") or mark.get_attribute("title") or mark.inner_text())
        for mark in page.locator("#faults .mark").all()
    )
    for text in (
        f"the guest started on {LIVE_HOST}",
        f"the guest restarted on {LIVE_HOST}",
        f"the guest migrated from {LIVE_HOST} to {OTHER_HOST}",
    ):
        assert text in marks


def test_a_vm_leads_to_its_guest_and_to_its_other_vms(visit: Visit, guest: str) -> None:
    page = visit.go(f"/vms/{SECOND}?{visit.fixed(25)}")
    rows = page.locator("#lives tbody tr")
    expect(rows).to_have_count(3)
    expect(page.locator('#lives a[aria-current="page"]')).to_have_count(1)
    rows.first.locator("a").click()
    expect(page).to_have_url(re.compile(f"/vms/{THIRD}\\?"))
    visit.settle()
    expect(page.locator(".facts")).to_contain_text(THIRD)
    page.locator(".to-guest").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("wanderer")
    assert f"/guests/{guest}?" in page.url
    page.go_back()
    expect(page.locator(".facts")).to_contain_text(THIRD)
    assert visit.problems == []


def test_all_vms_of_a_guest_are_one_line_of_the_overview(visit: Visit, guest: str) -> None:
    page = visit.go(f"/?by=guest&filter=wanderer&{visit.fixed(25)}")
    expect(page.locator("#faults .legend")).to_have_text(re.compile(r"^\s*wanderer\s*49\s*$"))
    page.locator('#faults [data-by="vm"]').click()
    expect(page.locator("#faults .legend")).to_contain_text("wanderer · pid 243")
    assert visit.problems == []


def test_a_vm_that_is_its_guests_only_one_has_no_list_of_others(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a7?{visit.fixed()}")
    expect(page.locator(".to-guest")).to_be_visible()
    expect(page.locator("#lives")).to_be_hidden()


def test_a_guest_that_there_is_not_is_said_to_be_missing(visit: Visit) -> None:
    page = visit.go("/guests/0000000000000000")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such guest.")
