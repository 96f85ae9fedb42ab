"""One VM: everything on its page is what the API says."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import bars, figure, number, table

pytestmark = pytest.mark.browser

VM = "00000000000000a7"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of a VM with exits, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


@pytest.fixture
def span(visit: Visit) -> dict[str, str]:
    """The same range, for the API."""
    from_, to = (part.partition("=")[2] for part in visit.fixed().split("&"))
    return {"from_": from_, "to": to}


def test_the_vm_is_named_with_all_that_is_known_of_it(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("confidential-db")
    facts = page.locator(".facts").inner_text()
    for text in ("6f1d0c9a-52a5-4ad5-8f43-0f6b1f0da711", "hv-fra-01", "x86_64", "4922"):
        assert text in facts
    assert page.locator(".vm-title .badge").all_inner_texts() == ["qemu", "libvirt"]
    page.get_by_text("Command line").click()
    expect(page.locator(".command")).to_contain_text("-name confidential-db")


def test_the_key_figures_are_those_of_the_api(page: Page, feed: Feed, span: dict[str, str]) -> None:
    vm = feed.product.get(f"vms/{VM}", **span)
    assert number(figure(page, "faults")) == vm["faults"] > 0
    assert number(figure(page, "exits")) == vm["memory_fault_exits"] > 0
    assert number(figure(page, "bare")) == vm["bare_error_exits"]
    assert number(figure(page, "untold")) == vm["untold_error_exits"]
    assert number(figure(page, "vcpus")) == len(vm["vcpus"])


def test_hardware_and_software_flags_stand_apart(page: Page, feed: Feed, span: dict[str, str]) -> None:
    flags = feed.product.get(f"vms/{VM}/flags", **span)
    for title, side in (("Hardware", "hardware"), ("Software", "software")):
        expected = {item["flag"]: item["count"] for item in flags["items"] if item["side"] == side}
        assert bars(page.get_by_role("region", name=title)) == expected
    outcomes = {item["flag"]: item["count"] for item in flags["outcomes"]}
    assert bars(page.get_by_role("region", name="Outcome")) == outcomes


def test_a_flag_says_its_bit_and_what_it_means(page: Page) -> None:
    bar = page.locator('[data-flag="guest_final"]')
    expect(bar.locator(".bar-bit")).to_have_text("bit 32")
    assert "final guest-physical address" in str(bar.get_attribute("title"))


def test_every_word_is_listed_and_opens_to_its_bits(page: Page, feed: Feed, span: dict[str, str]) -> None:
    items = feed.product.get(f"vms/{VM}/syndromes", **span)["items"]
    rows = page.locator(".syndrome")
    assert rows.locator("summary code").all_inner_texts() == [item["word"] for item in items]
    rows.first.locator("summary").click()
    fields = rows.first.locator(".bits tbody tr")
    expect(fields).to_have_count(len(items[0]["decoded"]["fields"]))
    expect(rows.first.locator(".bits tr.set").first).to_contain_text("npt_user")


def test_the_exits_are_those_of_the_api_and_older_ones_are_loaded(
    page: Page, feed: Feed, span: dict[str, str]
) -> None:
    items = feed.product.get("exits", vm=VM, limit=1000, **span)["items"]
    body = page.locator(".exits tbody")
    shown = table(body)
    assert [row[5] for row in shown] == [item["gpa"] for item in items[: len(shown)]]
    page.get_by_role("button", name="Load older exits").click()
    expect(body.locator("tr")).to_have_count(min(len(items), len(shown) + 120))
    assert [row[1] for row in table(body)] == [str(item["vcpu"]) for item in items[: len(shown) + 120]]


def test_the_exits_of_one_kind_can_be_asked_for(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a4?{visit.fixed()}")
    page.get_by_role("button", name="Bare error", exact=True).click()
    expect(page.locator(".exits tbody .kind").first).to_have_text("bare error")
    page.get_by_role("button", name="Memory fault", exact=True).click()
    expect(page.get_by_text("No memory fault exit in this range.")).to_be_visible()
    assert "kind=memory_fault" in page.url


def test_error_exits_whose_reason_is_not_shown_are_wherever_the_others_are(
    visit: Visit, feed: Feed, span: dict[str, str]
) -> None:
    vm = feed.product.get("vms/00000000000000a5", **span)
    page = visit.go(f"/vms/00000000000000a5?{visit.fixed()}")
    assert number(figure(page, "untold")) == vm["untold_error_exits"] > 0
    assert sum(number(row[4]) for row in table(page.locator("#vcpus tbody"))) == vm["untold_error_exits"]
    legend = page.locator("#exit-rates .legend-item", has_text="unclassified error")
    assert number(legend.locator(".legend-value").inner_text()) == vm["untold_error_exits"]
    page.get_by_role("button", name="Unclassified error", exact=True).click()
    expect(page.locator(".exits tbody .kind").first).to_have_text("unclassified error")
    first = table(page.locator(".exits tbody"))[0]
    assert first[3:5] == ["not shown", "EFAULT (errno 14)"]
    assert ["not shown", "EFAULT (errno 14)"] in [row[:2] for row in table(page.locator("#reasons tbody"))]


def test_vcpus_and_exit_reasons_are_those_of_the_api(page: Page, feed: Feed, span: dict[str, str]) -> None:
    vm = feed.product.get(f"vms/{VM}", **span)
    vcpus = [[number(text) for text in row] for row in table(page.locator("#vcpus tbody"))]
    keys = ("vcpu", "faults", "memory_fault_exits", "bare_error_exits", "untold_error_exits")
    assert vcpus == [[item[key] for key in keys] for item in vm["vcpus"]]
    reasons = table(page.locator("#reasons tbody"))
    assert [number(row[2]) for row in reasons] == [item["count"] for item in vm["exit_reasons"]]


def test_time_that_was_not_covered_is_a_gap_in_both_charts(page: Page) -> None:
    expect(page.locator(".gap-label")).to_have_text(["not covered", "not covered"])


@pytest.mark.parametrize(
    ("by", "name"), [("vCPU", "vCPU 3"), ("flag", "guest_final"), ("level", "4 KiB"), ("access", "execute")]
)
def test_the_faults_are_split_in_each_way(page: Page, by: str, name: str) -> None:
    page.locator("#faults").get_by_role("button", name=by, exact=True).click()
    expect(page.locator("#faults .legend-name", has_text=name)).to_be_visible()


def test_the_cursor_moves_by_key_and_says_the_step(page: Page) -> None:
    page.locator("#faults .chart-frame").focus()
    page.keyboard.press("End")
    expect(page.locator("#faults .reading")).to_be_visible()
    expect(page.locator("#faults [aria-live]")).to_contain_text("write")
    expect(page.locator("#exit-rates .cursor-line")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#faults .reading")).to_be_hidden()
