# SPDX-License-Identifier: Apache-2.0
"""However long or wide a name is, and however narrow the window: nothing is cut off or pushed away."""

import re
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from faultmodel.record import Span
from tests.batches import NS_PER_S, fault_count, make_batch, make_host, make_vm
from tests.browser.conftest import Visit, new_visit
from tests.browser.feed import Feed
from tests.browser.reading import wait_for_page

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True

LONG = "x" * 256
WIDE = "資料庫伺服器" * 30
EMOJI = "🦀🐳👩‍👩‍👧‍👦" * 20
NAMES = (LONG, WIDE, EMOJI, "plain")
DETAIL = "no BPF file system at " + "/sys/fs/bpf/" * 50 + "; " + "remount" * 50
HOST = "hv-long"
CUT = """() => [...document.querySelectorAll("main *, header *, dialog[open] *")].filter(e => {
    const right = e.getBoundingClientRect().right;
    return e.checkVisibility() && right > document.documentElement.clientWidth + 1
        && !e.closest(".cut, .table-scroll, .plot, .chart-table") && e.getBoundingClientRect().width > 0;
}).map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A server with a host that says much, whose VMs have long names."""
    feed = Feed(tmp_path_factory.mktemp("names"), [HOST])
    feed.product.start_server(expect_collector=False)
    feed.end_s = int(time.time()) // 60 * 60
    second = feed.end_s - 30
    vms = [
        make_vm(f"00000000000000f{number}", pid=4200 + number, name=name, started_ns=second * NS_PER_S)
        for number, name in enumerate(NAMES)
    ]
    counts = [
        msgspec.structs.replace(fault_count(vm.id, faults=1_234_567), bucket_ms=second * 1000) for vm in vms
    ]
    feed.send(
        make_batch(
            0,
            host=make_host(HOST, detail=DETAIL),
            covered=(Span(second * NS_PER_S, (second + 1) * NS_PER_S),),
            vms=vms,
            fault_counts=counts,
        )
    )
    yield feed
    feed.product.stop()


@pytest.fixture
def looking(visit_to: Callable[[Feed], Visit], server: Feed) -> Visit:
    """A page on that server."""
    return visit_to(server)


def _is_whole(page: Page, width: int) -> None:
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
@pytest.mark.parametrize("path", ["/", "/vms/00000000000000f0", "/vms/00000000000000f1"])
def test_long_and_wide_names_fit(looking: Visit, width: int, path: str) -> None:
    looking.page.set_viewport_size({"width": width, "height": 800})
    page = looking.go(f"{path}?{looking.fixed(1)}")
    _is_whole(page, width)


def test_a_name_of_256_characters_pushes_no_column_out_of_the_table(looking: Visit) -> None:
    page = looking.go(f"/?{looking.fixed(1)}")
    expect(page.get_by_role("link", name=LONG)).to_have_attribute("title", LONG)
    table = page.locator("#vms .table-scroll")
    assert table.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    expect(page.locator(".vms .col-bare_error_exits").last).to_be_in_viewport()


@pytest.mark.parametrize("width", [320, 360, 1440])
@pytest.mark.parametrize(("key", "name"), [("?", "Help"), ("s", "Collectors"), ("d", "Decode")])
def test_dialogs_are_whole(looking: Visit, width: int, key: str, name: str) -> None:
    looking.page.set_viewport_size({"width": width, "height": 800})
    page = looking.go("/")
    page.keyboard.press(key)
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog).to_be_visible()
    if key == "s":
        expect(dialog).to_contain_text("remount" * 50)
    assert dialog.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    _is_whole(page, width)


@pytest.mark.parametrize("width", [320, 768])
def test_every_exit_and_fault_is_read_without_scrolling_sideways(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"/vms/00000000000000a4?{visit.fixed()}")
    for section in ("#exits", "#records", "#flags", "#ledger"):
        assert (
            page.locator(
                section
            ).evaluate("""section => [section, ...section.querySelectorAll(".table-scroll")]
            .map(element => element.scrollWidth - element.clientWidth).filter(over => over > 0)""")
            == []
        )
    expect(page.locator(".exits td").nth(2)).to_have_attribute("data-label", "Kind")


def test_at_200_percent_nothing_is_cut(browser: Browser, server: Feed) -> None:
    context = browser.new_context(viewport={"width": 720, "height": 450}, device_scale_factor=2)
    page = new_visit(context, server.product.url, server.end_s).go("/")
    _is_whole(page, 720)
    context.close()


def test_with_forced_colours_series_and_choices_can_be_seen_apart(browser: Browser, feed: Feed) -> None:
    context = browser.new_context(forced_colors="active", viewport={"width": 1440, "height": 900})
    visit = new_visit(context, feed.product.url, feed.end_s)
    page = visit.go(f"/?{visit.fixed()}&by=access")
    swatches = page.locator("#faults .legend .swatch").evaluate_all(
        "all => all.map(one => getComputedStyle(one).color + getComputedStyle(one).backgroundImage)"
    )
    assert len(set(swatches)) == len(swatches) == 3
    chosen = page.locator('#faults .segments [aria-pressed="true"]')
    assert chosen.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    context.close()


def test_on_paper_the_whole_chart_is_within_the_page(browser: Browser, feed: Feed) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    visit = new_visit(context, feed.product.url, feed.end_s)
    page = visit.go(f"/vms/00000000000000a4?{visit.fixed()}")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 720, "height": 900})
    wait_for_page(
        page, "document.querySelector('#faults .main-svg').getBoundingClientRect().right <= innerWidth"
    )
    brightness = page.evaluate("getComputedStyle(document.querySelector('#faults')).backgroundColor")
    assert brightness == "rgb(255, 255, 255)"
    # The range is written as dates: "15m" would say nothing the next day.
    shown = page.locator(".time-range .on-paper")
    expect(shown).to_be_visible()
    expect(shown).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d [\d:]{8} to \d{4}-\d\d-\d\d [\d:]{8}, \S+"))
    page.emulate_media(media="screen")
    expect(shown).to_be_hidden()
    context.close()


def test_rows_hold_still_while_text_in_them_is_selected(context: BrowserContext, feed: Feed) -> None:
    # In a document of its own, where what asks is another.
    page = new_visit(context, feed.product.url, feed.end_s).go("/?range=1h")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.vms tbody .vm-name'))")
    name = page.locator(".vm-name").first.inner_text()
    page.evaluate(
        """() => {
            const asking = fetch;
            window.fetch = async (...asked) => {
                const answer = await asking(...asked);
                if (!String(asked[0]).includes("/overview?")) return answer;
                const body = await answer.json();
                body.vms.items.reverse();
                return Response.json(body);
            };
        }"""
    )
    expect(page.get_by_role("button", name="New order – show")).to_be_visible()
    assert page.locator(".vm-name").first.inner_text() == name
    assert page.evaluate("getSelection().toString()") == name
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator(".vm-name").first).not_to_have_text(name)


def test_on_a_telephone_nothing_that_names_is_cut_or_hidden_behind_a_pointer(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 360, "height": 800})
    page = visit.go(f"/?{visit.fixed()}")
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"
    assert page.locator(".controls .chip-text").evaluate_all(cut) == []
    assert page.locator(".vms .vm-name").evaluate_all(cut) == []
    page = visit.go(f"/vms/00000000000000a7?{visit.fixed()}")
    assert page.locator("#flags .bar-name").evaluate_all(cut) == []
    meaning = page.locator('#flags [data-flag="guest_page"] .bar-meaning')
    assert meaning.evaluate("one => one.clientHeight") > 10


def test_without_a_pointer_the_meaning_of_flags_is_shown_by_a_button(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a7?{visit.fixed()}")
    meaning = page.locator('#flags [data-flag="guest_page"] .bar-meaning')
    assert meaning.evaluate("one => one.clientHeight") <= 1
    button = page.get_by_role("button", name="Meanings")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert meaning.evaluate("one => one.clientHeight") > 10


def test_what_an_exit_lacks_takes_no_line_of_a_narrow_window(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 360, "height": 800})
    page = visit.go(f"/vms/00000000000000a4?{visit.fixed()}")
    first = page.locator(".exits tbody tr").first
    expect(first.locator('[data-label="Error"]')).to_be_visible()
    expect(first.locator('[data-label="Size"]')).to_be_hidden()
