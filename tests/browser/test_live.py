# SPDX-License-Identifier: Apache-2.0
"""What a collector sends is on the screen within two seconds, and nothing that is being read is disturbed."""

import time
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from playwright.sync_api import Page, expect

from faultmodel.record import Span, Vm
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, exit_record, fault_count, make_batch, make_host, make_vm
from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.scenes import LIVE_HOST
from tests.product import SEEN_S

pytestmark = pytest.mark.browser

_numbers: Iterator[int] = iter(range(1000))


def _batch_of_now(vm: Vm, faults: int) -> Batch:
    """The faults of the second before this one, from a host of its own."""
    second = int(time.time()) - 1
    count = msgspec.structs.replace(fault_count(vm.id, faults=faults), bucket_ms=second * 1000)
    number = next(_numbers)
    return make_batch(
        number,
        host=make_host(LIVE_HOST),
        stream="c" * 32,
        covered=(Span(second * NS_PER_S, (second + 1) * NS_PER_S),),
        vms=[vm],
        fault_counts=[count],
    )


def _exit_of_now(vm: Vm, gpa: int) -> Batch:
    """A memory-fault exit of the second before this one."""
    batch = _batch_of_now(vm, 1)
    time_ns = batch.covered[0].from_ns + gpa
    record = exit_record(vm.id, time_ns=time_ns, monotonic_ns=time_ns, gpa=gpa, size=4096, flags=0)
    return replace(batch, exits=(record,))


def _vm(number: int, name: str) -> Vm:
    now = int(time.time())
    return make_vm(f"00000000000000c{number}", name=name, started_ns=now * NS_PER_S)


def test_a_new_vm_appears_within_two_seconds(visit: Visit, feed: Feed) -> None:
    page = visit.go("/")
    feed.send(_batch_of_now(_vm(1, "just-started"), 321))
    row = page.locator(".vms tr", has_text="just-started")
    expect(row.locator(".col-faults")).to_have_text("321", timeout=SEEN_S * 1000)


def test_more_faults_of_a_vm_appear_within_two_seconds(visit: Visit, feed: Feed) -> None:
    vm = _vm(2, "busy")
    feed.send(_batch_of_now(vm, 100))
    page = visit.go(f"/vms/{vm.id}")
    expect(page.locator('[data-figure="faults"] .figure-value')).to_have_text("100")
    feed.send(_batch_of_now(vm, 23))
    expect(page.locator('[data-figure="faults"] .figure-value')).to_have_text("123", timeout=SEEN_S * 1000)


def _answers(page: Page) -> str:
    return str(page.evaluate("document.documentElement.dataset.ready"))


def test_a_refresh_leaves_scroll_selection_and_focus_alone(visit: Visit, feed: Feed) -> None:
    page = visit.go("/vms/00000000000000a7?range=1h")
    page.locator(".syndrome summary").first.focus()
    page.locator(".syndrome summary").first.click()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.facts dd'))")
    page.evaluate("scrollTo(0, 600)")
    before = _answers(page)
    feed.send(_batch_of_now(_vm(3, "other"), 1))
    expect(page.locator("html")).not_to_have_attribute("data-ready", before)
    assert page.evaluate("scrollY") == 600
    assert page.evaluate("getSelection().toString()") == "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0da711"
    assert page.evaluate("document.activeElement.closest('.syndrome') !== null")
    expect(page.locator(".syndrome").first).to_have_attribute("open", "")


def test_a_reading_under_the_pointer_stays_over_a_refresh(visit: Visit, feed: Feed) -> None:
    page = visit.go("/")
    page.hover("#faults .chart-frame", position={"x": 500, "y": 80})
    before = _answers(page)
    feed.send(_batch_of_now(_vm(4, "another"), 1))
    expect(page.locator("html")).not_to_have_attribute("data-ready", before)
    expect(page.locator("#faults .reading")).to_be_visible()


def test_new_exits_wait_while_the_list_is_being_read(visit: Visit, feed: Feed) -> None:
    vm = _vm(5, "exiting")
    feed.send(_exit_of_now(vm, 0x1000))
    page = visit.go(f"/vms/{vm.id}")
    page.hover(".exits tbody tr")
    feed.send(_exit_of_now(vm, 0x2000))
    held = page.get_by_role("button", name="1 new – show")
    expect(held).to_be_visible()
    expect(page.locator(".exits tbody code")).to_have_text(["0x1000"])
    held.click()
    expect(page.locator(".exits tbody code")).to_have_text(["0x2000", "0x1000"])
