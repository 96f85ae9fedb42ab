# SPDX-License-Identifier: Apache-2.0
"""More VMs than a list has rows: what is looked for, sorted and added up is all of them."""

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.conftest import Visit, new_visit
from tests.browser.feed import Feed
from tests.browser.reading import figure, names, number, wait_for_page
from tests.fleet import Fleet

pytestmark = pytest.mark.browser
ONE_DOCUMENT = True

FLEET = Fleet(vms=520, hosts=4)
SECONDS = 20


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A server that has taken the last seconds of a fleet."""
    feed = Feed(tmp_path_factory.mktemp("fleet"), FLEET.host_names)
    feed.product.start_server(expect_collector=False)
    feed.end_s = int(time.time()) // 60 * 60
    start_s = feed.end_s - SECONDS
    for batch in FLEET.batches(range(start_s, feed.end_s), 0, start_s=start_s):
        feed.send(batch)
    yield feed
    feed.product.stop()


@pytest.fixture
def looking(visit_to: Callable[[Feed], Visit], fleet: Feed) -> Visit:
    """A page on the fleet's server."""
    return visit_to(fleet)


def all_faults(fleet: Feed, numbers: range = range(FLEET.vms)) -> int:
    """What these VMs counted."""
    seconds = range(fleet.end_s - SECONDS, fleet.end_s)
    return sum(FLEET.faults(vm, second) for vm in numbers for second in seconds)


def test_the_figures_are_of_all_vms_also_of_those_that_are_not_listed(looking: Visit, fleet: Feed) -> None:
    page = looking.go(f"/?{looking.fixed(1)}")
    assert len(names(page)) == 50
    expect(page.locator("#vms .unit")).to_have_text("50 of 520")
    assert number(figure(page, "faults")) == all_faults(fleet)
    assert number(figure(page, "vms")) == 520
    assert number(figure(page, "hosts")) == 4


def test_the_greatest_of_all_are_listed_and_named_in_the_chart_beside_the_sum_of_the_others(
    looking: Visit, fleet: Feed
) -> None:
    page = looking.go(f"/?{looking.fixed(1)}&sort=-faults")
    assert names(page)[0].startswith("vm-05")
    legend = page.locator("#faults .legend-name").all_inner_texts()
    assert all(name.startswith("vm-05") for name in legend[:-1])
    assert legend[-1] == "all 513 others"
    totals = page.locator("#faults .legend-value").all_inner_texts()
    assert sum(map(number, totals)) == all_faults(fleet)


def test_a_vm_is_found_wherever_it_stands_and_figures_and_chart_are_of_what_is_found(
    looking: Visit, fleet: Feed
) -> None:
    page = looking.go(f"/?{looking.fixed(1)}")
    page.keyboard.press("/")
    page.keyboard.type("vm-0003")
    expect(page.locator(".vm-name")).to_have_text(["vm-0003"])
    assert number(figure(page, "faults")) == all_faults(fleet, range(3, 4))
    expect(page.locator("#faults .legend-name")).to_have_text(["vm-0003"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("vm-0003")


def test_more_rows_are_shown_when_they_are_asked_for_and_back_brings_one_to_where_one_was(
    looking: Visit,
) -> None:
    page = looking.go(f"/?{looking.fixed(1)}&sort=name")
    page.get_by_role("button", name="Show 100").click()
    expect(page.locator(".vm-name")).to_have_count(100)
    last = page.get_by_role("link", name="vm-0099")
    last.scroll_into_view_if_needed()
    place = page.evaluate("scrollY")
    assert place > 500
    last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("vm-0099")
    page.go_back()
    expect(page.locator(".vm-name")).to_have_count(100)
    wait_for_page(page, "place => Math.abs(scrollY - place) < 5", place)


def test_rows_hold_still_under_the_pointer_until_it_leaves_them(context: BrowserContext, fleet: Feed) -> None:
    # In a document of its own, where what asks is another.
    looking = new_visit(context, fleet.product.url, fleet.end_s)
    page = looking.go(f"/?{looking.fixed(1)}&sort=-faults")
    page.hover(".vms tbody tr:nth-child(3)")
    before = names(page)
    page.evaluate(
        """() => {
            window.kept = fetch;
            window.fetch = async (...asked) => {
                const answer = await window.kept(...asked);
                if (!String(asked[0]).includes("/overview?")) return answer;
                const body = await answer.json();
                body.vms.items.reverse();
                return new Response(JSON.stringify(body), { headers: answer.headers });
            };
        }"""
    )
    # The rows stay under the pointer.
    page.get_by_role("button", name="access").evaluate("button => button.focus({ preventScroll: true })")
    page.keyboard.press("Enter")
    looking.settle()
    held = page.get_by_role("button", name="New order – show")
    expect(held).to_be_visible()
    assert names(page) == before
    page.mouse.move(3, 3)
    expect(held).to_be_hidden()
    assert names(page) == before[::-1]


def test_enter_opens_the_only_vm_that_is_found_by_what_is_typed_not_by_what_was(
    looking: Visit,
) -> None:
    page = looking.go(f"/?{looking.fixed(1)}&filter=vm-0003")
    expect(page.locator(".vm-name")).to_have_text(["vm-0003"])
    page.locator("#filter").fill("vm-0007")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("vm-0007")


def test_enter_opens_nothing_where_more_is_found_than_is_listed(looking: Visit) -> None:
    page = looking.go(f"/?{looking.fixed(1)}&rows=1")
    page.locator("#filter").fill("vm-00")
    page.keyboard.press("Enter")
    looking.settle()
    expect(page.locator("#vms .unit")).to_have_text("1 of 100")
    expect(page.get_by_role("heading", level=1)).to_have_text("All VMs")


def test_vms_that_the_server_did_not_look_through_are_counted(looking: Visit) -> None:
    def left(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        route.fulfill(response=answer, json={**found, "vms": {**found["vms"], "vms_left_out": 7}})

    looking.page.route("**/api/v1/overview?**", left)
    page = looking.go(f"/?{looking.fixed(1)}")
    expect(page.locator("#vms").get_by_text("And 7 more VMs of this range")).to_be_visible()
    expect(page.locator("#faults .chart-notes")).to_contain_text("And 7 more VMs of this range")
