# SPDX-License-Identifier: Apache-2.0
"""What a VM waited for, and its pressure, on its page: as the API says, and nothing where it says nothing."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import figure, number, table

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True

VM = "00000000000000a7"
OTHER = "00000000000000a1"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of the VM whose waits are measured, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


def asked(visit: Visit, feed: Feed, path: str) -> dict[str, Any]:
    """Return what the API says of the same range."""
    from_, to = visit.times()
    return dict(feed.product.get(path, vm=VM, from_=from_, to=to))


def test_waits_are_those_of_the_api(page: Page, visit: Visit, feed: Feed) -> None:
    found = asked(visit, feed, "waits")
    rows = table(page.locator("#waited-for tbody"))
    assert len(rows) == sum(len(item["details"]) or 1 for item in found["items"]) == 5
    assert sum(number(row[4]) for row in rows) == sum(item["count"] for item in found["items"])
    assert [row[:2] for row in rows if row[0] == "lock"] == [
        ["lock", "rwsem_down_read_slowpath"],
        ["lock", "__mutex_lock"],
    ]
    sentence = page.locator("#waits .chart-notes")
    seconds = [float(text) for text in re.findall(r"([\d.]+) s", sentence.inner_text())]
    assert seconds == pytest.approx([found["blocked_s"], found["totals"][0]["seconds"]], rel=0.01)
    expect(sentence).to_contain_text("of it in reclaim.")


def test_the_cells_of_a_stack_have_all_of_it(page: Page) -> None:
    cell = page.locator("#waited-for tbody tr", has_text="other").locator("td").nth(1)
    expect(cell).to_have_text("schedule_timeout < io_schedule_timeout")
    expect(cell).to_have_attribute("title", re.compile("dax_fault < do_fault$"))


def test_pressure_is_that_of_the_api(page: Page, visit: Visit, feed: Feed) -> None:
    (item,) = asked(visit, feed, "pressure")["items"]
    for name in ("some", "full"):
        assert figure(page, f"pressure-{name}") == f"{item[name]['avg10']:.2f} %"
    expect(page.locator("#pressure .legend-item", has_text="some")).to_contain_text(" s")
    link = page.locator("#pressure .chart-notes a")
    expect(link).to_have_attribute("href", f"/api/v1/pressure/psi?vm={VM}")


@pytest.mark.parametrize("card", ["waits", "pressure"])
def test_charts_have_the_gap_that_others_have(page: Page, card: str) -> None:
    expect(page.locator(f"#{card} .gap-label")).to_have_text("not covered")


def test_a_kind_can_be_switched_off_and_a_step_read_by_key(page: Page) -> None:
    page.locator("#waits .chart-frame").focus()
    page.keyboard.press("End")
    expect(page.locator("#waits .reading")).to_contain_text("reclaim")
    page.keyboard.press("Escape")
    page.locator("#waits .legend-item", has_text="reclaim").click()
    expect(page.locator("#waits .legend-item", has_text="reclaim")).to_have_attribute("aria-pressed", "false")
    # Faults that wanted something else have a line of nearly that name.
    page.locator("#waits .legend-item", has_text="other").click()
    expect(page.locator("#faults .legend-item[aria-pressed='false']")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 360, 768])
def test_the_cards_fit_a_narrow_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.locator("#waits")).to_be_visible()
    expect(page.locator("#pressure")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_vm_of_which_nothing_is_known_has_no_such_cards(visit: Visit) -> None:
    page = visit.go(f"/vms/{OTHER}?{visit.fixed()}")
    expect(page.locator("#faults")).to_be_visible()
    for name in ("waits", "waited-for", "pressure"):
        expect(page.locator(f"#{name}")).to_be_hidden()
