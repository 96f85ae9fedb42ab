# SPDX-License-Identifier: Apache-2.0
"""What is shown is in the address: reload, back and a shared link bring it back."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LOADED, Visit
from tests.browser.reading import names

pytestmark = pytest.mark.browser
ONLY_LOOKS = True


def test_range_sort_and_filter_survive_a_reload_and_no_theme_is_in_a_link(visit: Visit) -> None:
    page = visit.go("/?range=6h&sort=name&filter=firecracker&theme=dark")
    before = names(page)
    page.reload()
    page.wait_for_selector(LOADED, state="attached")
    assert names(page) == before == ["ci-runner-7f3c", "sandbox-9b21"]
    expect(page.get_by_role("button", name="6h")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="1h", exact=True).click()
    assert "theme" not in page.url


def test_back_returns_to_the_range_before(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("button", name="1h", exact=True).click()
    assert "range=1h" in page.url
    page.go_back()
    expect(page.get_by_role("button", name="15m", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_span_that_is_dragged_over_is_zoomed_to_and_back_returns(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    box = page.locator("#faults .chart-frame").bounding_box()
    assert box
    y = box["y"] + 100
    page.mouse.move(box["x"] + 400, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 700, y, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("from=(?!" + re.escape(visit.fixed()[5:25]) + ")"))
    page.go_back()
    assert visit.fixed()[5:24] in page.url


def test_a_span_is_zoomed_to_by_key(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    before = page.url
    page.locator("#faults .chart-frame").focus()
    for key in ("Home", "Enter", "Shift+ArrowRight", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.url != before


def test_live_is_switched_off_into_a_fixed_range_and_on_again(visit: Visit) -> None:
    page = visit.go("/")
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Live", exact=True)).to_have_attribute("aria-pressed", "false")
    assert "from=" in page.url
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Live", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_range_is_typed_and_a_wrong_one_is_refused_in_words(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("button", name="Custom").click()
    page.get_by_label("From", exact=True).fill("2026-03-01T10:00:00")
    page.get_by_label("To", exact=True).fill("2026-03-01T09:00:00")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("The end must be after the start.")
    page.get_by_label("To", exact=True).fill("2026-03-01T11:00:00")
    page.get_by_role("button", name="Show", exact=True).click()
    assert "from=2026-03-01" in page.url


def test_the_theme_is_remembered_for_the_next_visit(visit: Visit) -> None:
    page = visit.go("/")
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    visit.go("/")
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
