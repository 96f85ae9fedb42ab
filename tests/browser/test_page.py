# SPDX-License-Identifier: Apache-2.0
"""What holds for the page as a whole: no other host, no error, two themes, names for every control."""

import re
import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from faultmodel.record import Span
from tests.batches import NS_PER_S, make_batch, make_host, make_vm
from tests.browser.conftest import Visit, new_visit
from tests.browser.feed import Feed
from tests.browser.scenes import LIVE_HOST

pytestmark = pytest.mark.browser

PATHS = ["/", "/?by=access&range=1h", "/vms/00000000000000a7", "/vms/00000000000000a7?by=flag"]

EDGE = '#faults .js-line[style*="stroke-width: 1.1px"]'
UNNAMED = """() => [...document.querySelectorAll('button, a, input, [role="img"], [role="region"], dialog')]
    .filter(e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length
        || e.textContent.trim() || e.closest('[hidden]')))
    .map(e => e.outerHTML.slice(0, 120))"""
SENT = """() => performance.getEntriesByType("resource")
    .filter(entry => entry.transferSize > 0).map(entry => new URL(entry.name).pathname)"""
SMALL = """() => [...document.querySelectorAll('button, summary, input')]
    .filter(e => e.offsetParent && Math.min(e.offsetHeight, e.offsetWidth) < 24)
    .map(e => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_asked_of_another_host_and_nothing_is_complained_of(visit: Visit, path: str) -> None:
    page = visit.go(path)
    page.wait_for_selector(".plot .main-svg")
    assert [url for url in visit.requests if not url.startswith(visit.url)] == []
    assert visit.problems == []


def test_a_page_that_is_opened_again_asks_for_none_of_its_files(visit: Visit) -> None:
    visit.go("/")
    page = visit.go("/?range=1h")
    sent = page.evaluate(SENT)
    assert [path for path in sent if not path.startswith("/api/")] == []
    assert sent != []


@pytest.mark.parametrize("path", PATHS[1:3])
def test_every_control_has_a_name_and_a_size_to_hit(visit: Visit, path: str) -> None:
    page = visit.go(path)
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(SMALL) == []


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_system_s_theme(
    context: BrowserContext, feed: Feed, scheme: str, dark: bool
) -> None:
    visit = new_visit(context, feed.product.url, feed.end_s)
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page = visit.go("/")
    assert (_brightness(page) < 60) is dark


def test_a_theme_that_is_chosen_wins_over_the_system_s_and_recolours_the_charts(visit: Visit) -> None:
    page = visit.go("/?by=access")
    light = _first_edge(page)
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert _brightness(page) < 60
    expect(page.locator(EDGE).first).not_to_have_attribute("style", light)


def _brightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def _first_edge(page: Page) -> str:
    page.wait_for_selector(EDGE, state="attached")
    return str(page.locator(EDGE).first.get_attribute("style"))


def test_help_opens_and_closes_by_key(visit: Visit) -> None:
    page = visit.go("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Help")).to_be_hidden()


def test_the_first_tab_stop_skips_to_the_data(visit: Visit) -> None:
    page = visit.go("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the data")).to_be_focused()


def test_a_chart_is_a_picture_with_its_content_in_words(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}&by=access")
    label = str(page.get_by_role("img", name="Guest faults per second").get_attribute("aria-label"))
    assert re.search(r"Latest .*, highest .* at \d\d:\d\d:\d\d\. By write, read, execute\.", label)


@pytest.mark.parametrize("width", [390, 900, 1440])
def test_the_page_never_scrolls_sideways(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go("/vms/00000000000000a7")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 360])
def test_a_range_of_many_days_fits_a_narrow_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go("/?from=2025-10-28T22:10:05Z&to=2025-12-29T23:20:05Z")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_of_a_vm_is_shown_as_text(visit: Visit, feed: Feed) -> None:
    now = int(time.time()) * NS_PER_S
    vm = make_vm("00000000000000d1", name="<img src=x onerror=alert(1)>", started_ns=now)
    feed.send(
        make_batch(
            0, host=make_host(LIVE_HOST), stream="d" * 32, covered=(Span(now, now + NS_PER_S),), vms=[vm]
        )
    )
    page = visit.go("/")
    expect(page.get_by_role("link", name="<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.locator("main img").count() == 0
