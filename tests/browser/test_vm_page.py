# SPDX-License-Identifier: Apache-2.0
"""One VM: everything on its page is what the API says."""

import re

import msgspec
import pytest
from playwright.sync_api import Page, Route, expect

from faultmodel import arch
from faultmodel.record import Span
from tests.batches import NS_PER_S, exit_count, exit_record, make_batch, make_host, make_vm
from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import bars, figure, number, table
from tests.browser.scenes import LIVE_HOST

pytestmark = pytest.mark.browser
ONE_DOCUMENT = True

VM = "00000000000000a7"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of a VM with exits, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


@pytest.fixture
def span(visit: Visit) -> dict[str, str]:
    """The same range, for the API."""
    from_, to = visit.times()
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
    assert number(figure(page, "unclassified")) == vm["unclassified_error_exits"]
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
    assert [row[6] for row in shown] == [item["gpa"] for item in items[: len(shown)]]
    page.get_by_role("button", name="Load older exits").click()
    expect(body.locator("tr")).to_have_count(min(len(items), len(shown) + 120))
    assert [row[1] for row in table(body)] == [str(item["vcpu"]) for item in items[: len(shown) + 120]]


def test_the_exits_of_one_kind_can_be_asked_for(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a4?{visit.fixed()}")
    page.get_by_role("button", name="Bare error", exact=True).click()
    expect(page.locator(".exits tbody .kind").first).to_have_text("bare error")
    page.get_by_role("button", name="Memory fault", exact=True).click()
    expect(page.get_by_text("No memory fault exit was seen in this range.")).to_be_visible()
    assert "kind=memory_fault" in page.url


def test_error_exits_whose_reason_is_not_shown_are_wherever_the_others_are(
    visit: Visit, feed: Feed, span: dict[str, str]
) -> None:
    vm = feed.product.get("vms/00000000000000a5", **span)
    page = visit.go(f"/vms/00000000000000a5?{visit.fixed()}")
    assert number(figure(page, "unclassified")) == vm["unclassified_error_exits"] > 0
    assert (
        sum(number(row[4]) for row in table(page.locator("#vcpus tbody"))) == vm["unclassified_error_exits"]
    )
    legend = page.locator("#exit-rates .legend-item", has_text="unclassified error")
    assert number(legend.locator(".legend-value").inner_text()) == vm["unclassified_error_exits"]
    page.get_by_role("button", name="Unclassified error", exact=True).click()
    expect(page.locator(".exits tbody .kind").first).to_have_text("unclassified error")
    first = table(page.locator(".exits tbody"))[0]
    assert first[3:5] == ["not shown", "EFAULT (errno 14)"]
    assert ["not shown", "EFAULT (errno 14)"] in [row[:2] for row in table(page.locator("#reasons tbody"))]


def test_vcpus_and_exit_reasons_are_those_of_the_api(page: Page, feed: Feed, span: dict[str, str]) -> None:
    vm = feed.product.get(f"vms/{VM}", **span)
    vcpus = [[number(text) for text in row] for row in table(page.locator("#vcpus tbody"))]
    keys = ("vcpu", "faults", "memory_fault_exits", "bare_error_exits", "unclassified_error_exits")
    assert vcpus == [[item[key] for key in keys] for item in vm["vcpus"]]
    reasons = table(page.locator("#reasons tbody"))
    assert [number(row[2]) for row in reasons] == [item["count"] for item in vm["exit_reasons"]]


def test_time_that_was_not_covered_is_a_gap_in_both_charts(page: Page) -> None:
    for chart in ("#faults", "#exit-rates"):
        expect(page.locator(f"{chart} .gap-label")).to_have_text("not covered")


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


def test_a_bare_error_says_what_is_known_of_its_address_and_what_its_usual_causes_are(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000b1?{visit.fixed()}")
    first = table(page.locator(".exits tbody"))[0]
    assert re.fullmatch(r"not shown \(fault before: 0x14\w+\)", first[6])
    causes = page.locator("#exits .causes")
    expect(causes).to_contain_text("the hugetlb pool is empty")
    expect(causes).to_contain_text("/proc/901/smaps")


def test_an_exit_s_time_is_copied_to_the_nanosecond(page: Page, feed: Feed, span: dict[str, str]) -> None:
    newest = feed.product.get("exits", vm=VM, limit=1, **span)["items"][0]["time"]
    shown = table(page.locator(".exits tbody"))[0][0]
    assert shown.partition(".")[2] == newest.partition(".")[2].removesuffix("Z")


def test_counts_of_a_range_that_was_covered_in_part_are_not_said_to_be_exact_of_it(visit: Visit) -> None:
    page = visit.go(f"/vms/00000000000000a1?{visit.fixed()}")
    faults = page.locator('[data-figure="faults"]')
    expect(faults.locator(".figure-note")).to_have_text("while covered")
    assert "for 3 min of the range nobody was reading" in str(faults.get_attribute("title"))
    page = visit.go(f"/vms/00000000000000a1?{visit.fixed(5)}")
    expect(page.locator('[data-figure="faults"]')).to_have_attribute("title", "In the range, exact")


def test_older_exits_that_cannot_be_had_are_said_not_to_be(page: Page) -> None:
    page.route("**/api/v1/exits?**cursor=**", lambda route: route.abort())
    button = page.get_by_role("button", name="Load older exits")
    button.click()
    expect(page.locator("#exits").get_by_role("alert")).to_have_text(
        "Not loaded: the server does not answer."
    )
    page.unroute("**/api/v1/exits?**cursor=**")
    button.click()
    expect(page.locator("#exits").get_by_role("alert")).to_be_hidden()


def test_older_exits_of_one_kind_do_not_go_under_those_of_another(page: Page) -> None:
    held: list[Route] = []
    page.route("**/api/v1/exits?**cursor=**", lambda route: held.append(route))
    page.get_by_role("button", name="Load older exits").click()
    page.get_by_role("button", name="Bare error", exact=True).click()
    expect(page.get_by_text("No bare error exit was seen in this range.")).to_be_visible()
    with page.expect_response("**/api/v1/exits?**cursor=**"):
        held[0].continue_()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator(".exits tbody tr")).to_have_count(15)


def test_words_beyond_those_that_are_listed_are_counted_and_can_be_had(visit: Visit, feed: Feed) -> None:
    second = feed.end_s - 60
    vm = make_vm("00000000000000d7", name="of-many-words", started_ns=second * NS_PER_S)
    make = arch.get("x86_64").fault_count
    counts = [
        make(bucket_ms=second * 1000, vm=vm.id, vcpu=0, format="npf", syndrome=word << 40, faults=2)
        for word in range(130)
    ]
    feed.send(
        make_batch(
            0,
            host=make_host(LIVE_HOST),
            stream="9" * 32,
            covered=(Span(second * NS_PER_S, (second + 1) * NS_PER_S),),
            vms=[vm],
            fault_counts=counts,
        )
    )
    page = visit.go(f"/vms/{vm.id}?{visit.fixed(5)}")
    page.get_by_role("button", name="The first 100").click()
    expect(page.locator("#syndromes .more")).to_contain_text("and 30 more words, together with 60 faults")
    page.get_by_role("button", name="Show more words").click()
    expect(page.locator(".syndrome")).to_have_count(130)
    expect(page.locator("#syndromes .more")).to_be_hidden()


def test_what_is_about_faults_gives_way_where_a_vm_only_exits(visit: Visit, feed: Feed) -> None:
    second = feed.end_s - 60
    vm = make_vm("00000000000000d8", name="only-dies", started_ns=second * NS_PER_S)
    exits = msgspec.structs.replace(exit_count(vm.id, count=3), bucket_ms=second * 1000)
    record = exit_record(vm.id, time_ns=second * NS_PER_S, monotonic_ns=1)
    covered = (Span(second * NS_PER_S, (second + 1) * NS_PER_S),)
    host = make_host(LIVE_HOST)
    feed.send(
        make_batch(
            1, host=host, stream="9" * 32, covered=covered, vms=[vm], exit_counts=[exits], exits=[record]
        )
    )
    page = visit.go(f"/vms/{vm.id}?{visit.fixed(5)}")
    expect(page.locator("#exit-rates")).to_be_visible()
    expect(page.locator(".exits tbody tr")).to_have_count(1)
    for name in ("#faults", "#ledger", "#flags", "#syndromes", "#records"):
        expect(page.locator(name)).to_be_hidden()
    expect(page.get_by_text("there is nothing to show of their rates")).to_be_visible()
