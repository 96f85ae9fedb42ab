# SPDX-License-Identifier: Apache-2.0
"""A VM's memslots and KVM's own counts, on its page: as the API says, and nothing where it says nothing."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import figure, number, table

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True

VM = "00000000000000a7"
OTHER = "00000000000000a1"
FAILED = "00000000000000a4"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of the VM that was looked at, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


@pytest.fixture
def ask(visit: Visit, feed: Feed) -> Any:
    """Return what asks the API of the same VM and range."""
    from_, to = visit.times()
    return lambda path: feed.product.get(path, vm=VM, from_=from_, to=to)


def test_memslots_are_those_of_the_api(page: Page, ask: Any) -> None:
    items = ask("memslots")["items"]
    rows = table(page.locator("#memslots tbody"))
    assert len(rows) == len(items) == 4
    assert sorted(row[6] for row in rows) == sorted(item["host_address"] for item in items)
    texts = [" ".join(row) for row in rows]
    assert "0x100000000 – 0x17fffffff 2 GiB 0 memfd /memfd:memory-backend-memfd rw-s none" in texts[2]
    (rom,) = (text for text in texts if "bios-256k.bin" in text)
    assert "0xfffc0000 – 0xffffffff 256 KiB 1 file" in rom
    assert "r--p read only" in rom


def test_a_memslot_that_was_replaced_is_listed_last(page: Page) -> None:
    rows = table(page.locator("#memslots tbody"))
    assert [row[7].endswith("now") for row in rows] == [True, True, True, False]
    assert rows[-1][0].startswith("0xfd000000")
    assert "by userfaultfd" in rows[-1][3]


def test_an_address_has_the_name_of_its_memslot(page: Page) -> None:
    gpas = page.locator("#exits code[data-gpa]")
    name = "memslot 0: 2 GiB, memfd /memfd:memory-backend-memfd"
    expect(gpas.first).to_have_attribute("title", name)
    expect(page.locator("#records code[data-gpa]").first).to_have_attribute("title", name)


def test_counts_of_kvm_are_those_of_the_api(page: Page, ask: Any) -> None:
    (stats,) = ask("kvm-stats")["items"]
    rows = table(page.locator("#kvm-stats tbody"))
    assert [(row[0], number(row[1])) for row in rows] == [
        (item["name"], item["kvm"]) for item in stats["counts"]
    ]
    same, spurious = rows[0], rows[3]
    assert (number(same[1]), same[3:]) == (number(same[2]), ["0"])
    assert spurious[3] == f"+{spurious[2]}"
    expect(page.locator("#kvm-stats")).to_contain_text("pf_spurious: KVM also counts")


def test_page_sizes_are_beside_what_could_be(page: Page) -> None:
    rows = table(page.locator("#page-sizes tbody"))
    assert [[row[0], *map(number, (row[1], row[3]))] for row in rows] == [
        ["4 KiB", 512_000, 4160],
        ["2 MiB", 500, 1024],
        ["1 GiB", 0, 0],
    ]
    expect(page.locator("#page-sizes")).to_contain_text("33.3 % of what is mapped is in huge pages")


def test_a_vm_that_was_not_looked_at_has_no_such_cards(visit: Visit) -> None:
    page = visit.go(f"/vms/{OTHER}?{visit.fixed()}")
    expect(page.locator("#faults")).to_be_visible()
    for name in ("memslots", "kvm-stats", "page-sizes"):
        expect(page.locator(f"#{name}")).to_be_hidden()


def test_causes_say_what_was_found_and_what_to_do(visit: Visit, feed: Feed) -> None:
    page = visit.go(f"/vms/{FAILED}?{visit.fixed()}")
    from_, to = visit.times()
    (item,) = feed.product.get("causes", vm=FAILED, from_=from_, to=to)["items"]
    assert item["count"] == number(figure(page, "bare")) > 1
    (cause,) = page.locator("#causes li").all()
    expect(cause.locator("h3")).to_have_text("No access allowed (PROT_NONE)")
    expect(cause).to_contain_text(f"{item['count']} exits; first")
    for text in (item["meaning"], item["next"]):
        expect(cause).to_contain_text(text)
    # The usual causes of such an error say nothing more.
    expect(page.locator("#exits .causes p")).to_have_count(0)
    named = cause.locator("dl > div").all_inner_texts()
    assert {tuple(text.split("\n")) for text in named} >= {("permissions", "---p"), ("memslot", "1")}


def test_the_tiles_of_exits_lead_to_their_causes(visit: Visit) -> None:
    page = visit.go(f"/vms/{FAILED}?{visit.fixed()}")
    page.set_viewport_size({"width": 800, "height": 300})
    expect(page.locator("#causes h3").first).not_to_be_in_viewport()
    page.get_by_role("link", name="Bare error exits").click()
    expect(page.locator("#causes h3").first).to_be_in_viewport()


def test_where_no_cause_is_known_the_tiles_lead_to_the_exits(visit: Visit) -> None:
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.locator("#causes")).to_be_hidden()
    expect(page.locator("#exits-title")).not_to_be_in_viewport()
    page.get_by_role("link", name="Memory-fault exits").click()
    expect(page.locator("#exits-title")).to_be_in_viewport()


@pytest.mark.parametrize("width", [320, 360, 768])
def test_the_cards_fit_a_narrow_window(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"/vms/{VM}?{visit.fixed()}")
    expect(page.locator("#memslots")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page = visit.go(f"/vms/{FAILED}?{visit.fixed()}")
    expect(page.locator("#causes")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
