# SPDX-License-Identifier: Apache-2.0
"""A VM's faults under way on its page: as the API says, with what to do, and nothing where there is none."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import table

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True

VM = "00000000000000a7"
OTHER = "00000000000000a1"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of the VM that has some."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


def test_faults_under_way_are_those_of_the_api(page: Page, feed: Feed) -> None:
    items = feed.product.get("outstanding", vm=VM)["items"]
    rows = table(page.locator("#outstanding tbody"))
    assert [row[:2] for row in rows] == [[str(item["vcpu"]), item["gpa"]] for item in items]
    assert [row[2:] for row in rows] == [
        ["42 s", "userfaultfd", "dead"],
        ["30 s ago", "userfaultfd", "closed"],
        ["7 s", "userfaultfd", "alive, pid 4321"],
        ["1 s", "swap", ""],
    ]


def test_the_card_says_what_to_do_and_how_old_it_is(page: Page) -> None:
    card = page.locator("#outstanding")
    expect(card).to_contain_text("3 vCPUs stand still, for 42 s the longest.")
    expect(card).to_contain_text("The host has not been heard of since")
    expect(card).to_contain_text("the guest reads zeros instead of what was missing")
    expect(card).to_contain_text("its vCPUs wait until another one answers")


def test_it_comes_before_what_all_vms_have(page: Page) -> None:
    expect(page.locator("#outstanding")).to_be_visible()
    ids = page.evaluate("[...document.querySelectorAll('section.card')].map((card) => card.id)")
    assert ids.index("outstanding") < ids.index("livelocks") < ids.index("stall")


def test_a_vm_without_has_no_such_card(visit: Visit) -> None:
    page = visit.go(f"/vms/{OTHER}?{visit.fixed()}")
    expect(page.locator("#faults")).to_be_visible()
    expect(page.locator("#outstanding")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 768])
def test_the_card_fits_a_narrow_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.locator("#outstanding")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_overview_says_what_stands_still_now(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    # The scene's hosts have not been heard of lately.
    expect(page.locator('[data-figure="stalled"] .figure-value')).to_have_text("0")
