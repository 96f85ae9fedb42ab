# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled a VM's vCPUs, on its page: as the API says, and nothing where it says nothing."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Page, Route, expect

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
    """The page of the VM whose stalls are measured, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


@pytest.fixture
def found(visit: Visit, feed: Feed) -> dict[str, Any]:
    """What the API says of the same range."""
    from_, to = visit.times()
    return dict(feed.product.get("stall", vm=VM, from_=from_, to=to))


def test_figures_are_those_of_the_api(page: Page, found: dict[str, Any]) -> None:
    card, total = page.locator("#stall"), found["total"]
    assert number(figure(page, "ended")) == total["count"] > 0
    expect(card.locator('[data-figure="ended"]')).to_contain_text("of them timed")
    blocked, stalled = (figure(page, name).removesuffix(" s") for name in ("blocked", "stalled"))
    assert float(blocked) == pytest.approx(total["blocked_s"], rel=0.01)
    assert float(stalled) == pytest.approx(total["blocked_s"] + total["running_s"], rel=0.01)
    expect(card).to_contain_text("Measured from kvm_page_fault to kvm_entry.")


def test_vcpus_and_outcomes_are_those_of_the_api(page: Page, feed: Feed, found: dict[str, Any]) -> None:
    vcpus = table(page.locator("#stalled-vcpus tbody"))
    assert [[number(row[0]), number(row[5])] for row in vcpus] == [
        [item["vcpu"], item["count"]] for item in found["vcpus"]
    ]
    rows = table(page.locator("#outcomes tbody"))
    assert sum(number(row[2]) for row in rows) == found["total"]["count"]
    assert {row[0] for row in rows} == {"mapped 4k", "mapped 2m", "fast"}


def test_the_map_has_the_gap_that_other_charts_have(page: Page) -> None:
    expect(page.locator("#stall .gap-label")).to_have_text("not covered")
    expect(page.locator("#stall .heatmaplayer image")).to_have_count(1)


def test_a_step_is_read_by_key_and_the_map_is_a_table_too(page: Page) -> None:
    page.locator("#stall .chart-frame").focus()
    page.keyboard.press("End")
    expect(page.locator("#stall .reading")).to_contain_text("99 % within")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="How long faults stalled vCPUs: show as table").click()
    expect(page.locator("#stall .chart-table tbody tr").first).to_contain_text("µs")


def test_a_line_can_be_switched_off(page: Page) -> None:
    lines = page.locator("#stall .scatterlayer .trace")
    expect(lines).to_have_count(3)
    page.locator("#stall .legend-item", has_text="the longest").click()
    expect(lines).to_have_count(2)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_lines_differ_from_the_cells_under_them(visit: Visit, theme: Literal["light", "dark"]) -> None:
    visit.page.emulate_media(color_scheme=theme)
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    colours = page.locator("#stall .scatterlayer .js-line").evaluate_all(
        "lines => lines.map(line => getComputedStyle(line).stroke)"
    )
    assert len(set(colours)) == 3
    assert visit.problems == []


@pytest.mark.parametrize("width", [320, 360, 768])
def test_the_card_fits_a_narrow_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.locator("#stall")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_vm_of_which_no_stall_is_known_has_no_such_card(visit: Visit) -> None:
    page = visit.go(f"/vms/{OTHER}?{visit.fixed()}")
    expect(page.locator("#faults")).to_be_visible()
    for name in ("stall", "outcomes", "stalled-vcpus"):
        expect(page.locator(f"#{name}")).to_be_hidden()


def test_a_question_that_fails_costs_the_card_and_not_the_page(visit: Visit) -> None:
    problem = '{"title": "Internal Server Error", "status": 500, "detail": "it broke"}'

    def fail(route: Route) -> None:
        route.fulfill(status=500, content_type="application/problem+json", body=problem)

    visit.page.route("**/api/v1/stall?*", fail)
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.get_by_text("This could not be asked: it broke.")).to_be_visible()
    expect(page.locator("#stall")).to_be_hidden()
    expect(page.locator("#faults")).to_be_visible()
    visit.problems.clear()
