# SPDX-License-Identifier: Apache-2.0
"""What happened beside the counts stands on the time line: the governor's steps, restarts, losses."""

from itertools import pairwise

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.scene import EVENTS, UNCOUNTED

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True

POSTGRES, CONFIDENTIAL = "00000000000000a2", "00000000000000a7"
STEP_DOWN = "no fault is recorded (2.40% of a core used, 2.00% granted)"


def _marks(page: Page, chart: str = "faults") -> Locator:
    return page.locator(f"#{chart}").get_by_role("toolbar").locator(".mark")


def test_every_event_of_the_hosts_is_on_the_time_line(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    words = "; ".join(mark.get_attribute("aria-label") or "" for mark in _marks(page).all())
    assert words.count("hv-fra-01: ") == len(EVENTS)
    assert f"hv-fra-01: {STEP_DOWN}" in words
    assert "confidential-db: every fault is recorded" in words


def test_a_step_down_says_itself_when_it_is_pointed_at(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    step = page.locator("#faults").get_by_role("button", name=STEP_DOWN)
    expect(step).to_have_attribute("data-tone", "warn")
    step.hover()
    expect(page.locator("#faults .mark-tip")).to_contain_text(STEP_DOWN)
    page.mouse.move(0, 0)
    expect(page.locator("#faults .mark-tip")).to_be_hidden()


def test_marks_are_one_tab_stop_and_arrows_go_from_one_to_the_next(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    expect(_marks(page).and_(page.locator('[tabindex="0"]'))).to_have_count(1)
    _marks(page).first.focus()
    expect(page.locator("#faults .mark-tip")).to_contain_text("a new counting began")
    page.keyboard.press("End")
    expect(_marks(page).last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(_marks(page).nth(_marks(page).count() - 2)).to_be_focused()
    expect(_marks(page).and_(page.locator('[tabindex="0"]'))).to_have_count(1)


def test_marks_that_would_touch_are_one_that_counts_them(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 420, "height": 800})
    page = visit.go(f"/?{visit.fixed()}")
    places = [mark.bounding_box() for mark in _marks(page).all()]
    lefts = [place["x"] for place in places if place]
    assert all(after - before >= 23.9 for before, after in pairwise(lefts))
    assert any(text.isdigit() for text in _marks(page).all_inner_texts())


def test_a_mark_opens_the_list_of_all_events(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    page.locator("#faults").get_by_role("button", name=STEP_DOWN).click()
    drawer = page.get_by_role("dialog", name="Collectors")
    expect(drawer.locator(".events li")).to_have_count(len(EVENTS))
    expect(drawer.locator(".events li").first).to_contain_text("as of the others")
    expect(drawer.get_by_role("heading", name="Events in the range")).to_be_focused()


def test_a_vm_s_page_leaves_out_what_concerns_another_vm(visit: Visit) -> None:
    page = visit.go(f"/vms/{POSTGRES}?{visit.fixed()}")
    expect(page.get_by_role("button", name=STEP_DOWN)).to_have_count(2)
    expect(page.get_by_role("button", name="every fault is recorded")).to_have_count(0)
    page = visit.go(f"/vms/{CONFIDENTIAL}?{visit.fixed()}")
    expect(page.get_by_role("button", name="every fault is recorded")).to_have_count(2)


def test_a_step_that_lacks_faults_is_marked_with_their_number(visit: Visit) -> None:
    page = visit.go(f"/vms/{POSTGRES}?{visit.fixed()}")
    expect(page.locator("#faults .band.inexact")).to_have_count(1)
    mark = page.locator("#faults").get_by_role("button", name="Not exact")
    count = f"{UNCOUNTED:,}".replace(",", "\u202f")
    assert f"{count} faults whose words were not counted" in str(mark.get_attribute("aria-label"))


def test_where_another_vm_s_faults_were_not_counted_this_vm_s_are_exact(visit: Visit) -> None:
    page = visit.go(f"/vms/{CONFIDENTIAL}?{visit.fixed()}")
    expect(page.locator("#faults .band.inexact")).to_have_count(0)
    expect(page.locator("#faults").get_by_role("button", name="Counts are exact")).to_have_count(1)


def test_a_wide_step_has_the_number_written_on_it(visit: Visit) -> None:
    page = visit.go(f"/vms/{POSTGRES}?{visit.fixed(13, until=12)}")
    expect(page.locator("#faults .inexact-label")).to_contain_text("lost")
