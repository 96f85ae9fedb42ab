# SPDX-License-Identifier: Apache-2.0
"""Loading, empty, failed, not covered, not allowed, not there: each is said in words."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.conftest import Visit, new_visit
from tests.browser.feed import Feed
from tests.browser.reading import figure, names, table

pytestmark = pytest.mark.browser


def test_a_range_that_nobody_read_is_not_shown_as_zero(visit: Visit) -> None:
    page = visit.go("/?from=2025-01-01T00:00:00Z&to=2025-01-01T01:00:00Z")
    expect(page.get_by_role("heading", name="No collector was reading between")).to_be_visible()
    assert figure(page, "faults") == "–"
    expect(page.locator("#faults .gap-label")).to_have_text(["not covered"])
    page.get_by_role("button", name="Show the last 24h").click()
    expect(page.get_by_role("link", name="postgres-primary")).to_be_visible()


def test_a_gap_of_a_vm_is_not_shown_as_zero(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a1?{visit.fixed(18, until=17)}")
    expect(page.get_by_role("heading", name="No collector was reading between")).to_be_visible()
    assert figure(page, "faults") == "–"


@pytest.mark.parametrize("choice", ["", "&filter=postgres", "&filter=hv-fra-01&state=running"])
def test_a_gap_is_not_shown_as_zero_whichever_vms_are_chosen(visit: Visit, choice: str) -> None:
    page = visit.go(f"/?{visit.fixed(18, until=17)}{choice}")
    row = page.get_by_role("row").filter(has_text="postgres-primary")
    expect(row.locator(".col-name")).to_be_visible()
    for column in (
        "faults",
        "fault_rate",
        "memory_fault_exits",
        "bare_error_exits",
        "unclassified_error_exits",
    ):
        expect(row.locator(f".col-{column}")).to_have_text("–")
    if choice:
        expect(page.get_by_role("heading", name="No collector was reading between")).to_be_visible()
        assert figure(page, "faults") == "–"
    else:
        # The other host was read.
        expect(page.get_by_role("row").filter(has_text="kernel-lab").locator(".col-faults")).to_have_text(
            re.compile(r"\d")
        )


def test_a_choice_that_no_vm_meets_says_so_and_nothing_of_collectors(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed(18, until=17)}&filter=no-such-vm")
    expect(page.get_by_text("No VM matches the filter.")).to_be_visible()
    expect(page.locator(".message")).to_be_hidden()


def test_a_quiet_vm_looks_other_than_one_that_was_not_read(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a9?{visit.fixed(8)}")
    expect(page.get_by_role("heading", name="No fault of this VM was seen in this range.")).to_be_visible()
    assert figure(page, "faults") == "0"


def test_an_unknown_vm_is_said_to_be_unknown(visit: Visit) -> None:
    page = visit.go("/vms/00000000000000ff")
    expect(page.get_by_role("heading", name="There is no such VM.")).to_be_visible()
    page.locator(".message").get_by_role("button", name="All VMs").click()
    expect(page.get_by_role("link", name="postgres-primary")).to_be_visible()


def test_an_id_that_cannot_be_is_unknown_as_well(visit: Visit) -> None:
    page = visit.go("/vms/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    expect(page.get_by_role("heading", name="There is no such VM.")).to_be_visible()


def test_when_the_server_goes_the_last_data_stays_with_its_age(
    context: BrowserContext, tmp_path: Path
) -> None:
    feed = Feed(tmp_path, [])
    feed.product.start_server(expect_collector=False)
    page = new_visit(context, feed.product.url, 0).go("/")
    feed.product.kill_server()
    notice = page.locator(".notice")
    expect(notice).to_contain_text("The server does not answer; the data is as of")
    expect(page.locator(".controls .chip")).to_contain_text("the server does not answer")
    expect(page.get_by_role("heading", name="Virtual machines")).to_be_visible()
    feed.product.start_server(expect_collector=False)
    notice.get_by_role("button", name="Try again").click()
    expect(notice).to_be_hidden()
    feed.product.stop()


def test_without_any_answer_the_page_says_so(visit: Visit) -> None:
    visit.page.route("**/api/v1/**", lambda route: route.abort())
    page = visit.go("/")
    expect(page.get_by_role("heading", name="The server does not answer.")).to_be_visible()
    visit.page.unroute("**/api/v1/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name="postgres-primary")).to_be_visible()


def test_while_the_answer_is_awaited_the_page_says_so(visit: Visit) -> None:
    held: list[Route] = []
    visit.page.route("**/api/v1/overview?**", lambda route: held.append(route))
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="Loading")).to_be_visible()


def test_a_refusal_is_shown_in_the_server_s_words(visit: Visit) -> None:
    problem = {"title": "Bad Request", "status": 400, "detail": "step: too many points"}
    visit.page.route("**/api/v1/overview?**", lambda route: route.fulfill(status=400, json=problem))
    page = visit.go("/")
    expect(
        page.get_by_role("heading", name="The server refused this: step: too many points.")
    ).to_be_visible()
    # What the collectors do is shown all the same.
    expect(page.locator(".controls .chip")).to_contain_text("newly lost")


def test_a_server_that_needs_a_token_asks_for_it(visit: Visit) -> None:
    denied = {"title": "Unauthorized", "status": 401, "detail": "reading needs a read token or a session"}
    visit.page.route("**/api/v1/**", lambda route: route.fulfill(status=401, json=denied))
    page = visit.go("/")
    dialog = page.get_by_role("dialog", name="Log in")
    dialog.get_by_label("Read token").fill("wrong")
    dialog.get_by_role("button", name="Log in").click()
    expect(dialog.get_by_role("alert")).to_have_text("This token is not known here.")
    visit.page.unroute("**/api/v1/**")
    visit.page.route(
        "**/api/v1/session", lambda route: route.fulfill(json={"ends_at": "2026-01-01T00:00:00Z"})
    )
    dialog.get_by_role("button", name="Log in").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="postgres-primary")).to_be_visible()
    assert "postgres-primary" in names(page)


def test_the_state_of_the_collectors_is_in_the_header_and_in_full_in_its_drawer(visit: Visit) -> None:
    page = visit.go("/")
    chip = page.locator(".controls .chip")
    expect(chip).to_contain_text("1\u202f216 newly lost")
    chip.click()
    drawer = page.get_by_role("dialog", name="Collectors")
    expect(drawer).to_contain_text("lab-intel")
    expect(drawer).to_contain_text("kvm:kvm_userspace_exit")
    expect(drawer).to_contain_text("12 exits that were counted, whose record found the ring buffer full")
    kept = drawer.get_by_role("region", name="What is kept")
    rows = table(kept.locator("tbody"))
    levels = [f"counts of {length}" for length in ("1 s", "10 s", "1 min", "10 min", "1 h")]
    assert [row[0] for row in rows] == [*levels, "records of faults", "records of exits"]
    assert [row[1] for row in rows] == ["1 d", "3 d", "14 d", "180 d", "for ever", "3 d", "180 d"]
    expect(kept).to_contain_text("and may take")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
