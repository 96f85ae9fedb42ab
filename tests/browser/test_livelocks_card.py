# SPDX-License-Identifier: Apache-2.0
"""A VM's livelocks on its page: as the API says, with what to look at, and nothing where there is none."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import number, table

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True

VM = "00000000000000a7"
OTHER = "00000000000000a1"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of the VM that has some, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


def test_livelocks_are_those_of_the_api(page: Page, visit: Visit, feed: Feed) -> None:
    from_, to = visit.times()
    items = feed.product.get("livelocks", vm=VM, from_=from_, to=to)["items"]
    rows = table(page.locator("#livelocks tbody"))
    assert [[row[0], *row[1:3], number(row[4])] for row in rows] == [
        [str(item["vcpu"]), item["gpa"], item["pc"], item["faults"]] for item in items
    ]
    assert [row[3] for row in rows] == [item["decoded"]["summary"] for item in items]
    assert [row[6].endswith("not over") for row in rows] == [True, False]
    assert [row[7] for row in rows] == ["under way", "not shown"]


def test_the_card_says_what_it_means_and_what_to_look_at(page: Page) -> None:
    card = page.locator("#livelocks")
    expect(card).to_contain_text("the guest does not go on at this instruction")
    expect(card).to_contain_text("1 vCPU was still in one when seen last.")
    expect(card).to_contain_text("Look at what backs the address")


def test_it_comes_before_what_all_vms_have(page: Page) -> None:
    expect(page.locator("#livelocks")).to_be_visible()
    ids = page.evaluate("[...document.querySelectorAll('section.card')].map((card) => card.id)")
    assert ids.index("livelocks") < ids.index("stall")


def test_a_vm_without_has_no_such_card(visit: Visit) -> None:
    page = visit.go(f"/vms/{OTHER}?{visit.fixed()}")
    expect(page.locator("#faults")).to_be_visible()
    expect(page.locator("#livelocks")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 768])
def test_the_card_fits_a_narrow_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.locator("#livelocks")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
