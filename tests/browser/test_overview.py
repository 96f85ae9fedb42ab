# SPDX-License-Identifier: Apache-2.0
"""All VMs: the table, its order, the chart over it."""

import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import counts_by_name, figure, names, number, table, title_of

pytestmark = pytest.mark.browser
ONLY_LOOKS = True
ONE_DOCUMENT = True
CAUSED = "00000000000000a4"
"""The VM whose exits have a cause."""


def _clock(time_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_ms // 1000))


def _vms(visit: Visit, feed: Feed) -> list[dict[str, object]]:
    from_, to = visit.times()
    return list(feed.product.get("vms", from_=from_, to=to, limit=1000)["items"])


def test_every_vm_is_listed_with_the_counts_of_the_api(visit: Visit, feed: Feed) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    vms = _vms(visit, feed)
    assert counts_by_name(page, "faults") == {title_of(vm): vm["faults"] for vm in vms}
    assert counts_by_name(page, "memory_fault_exits") == {
        title_of(vm): vm["memory_fault_exits"] for vm in vms
    }
    assert counts_by_name(page, "bare_error_exits") == {title_of(vm): vm["bare_error_exits"] for vm in vms}
    assert counts_by_name(page, "unclassified_error_exits") == {
        title_of(vm): vm["unclassified_error_exits"] for vm in vms
    }


def test_the_key_figures_are_the_sums_of_all_vms(visit: Visit, feed: Feed) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    vms = _vms(visit, feed)
    assert number(figure(page, "faults")) == sum(int(str(vm["faults"])) for vm in vms)
    assert number(figure(page, "exits")) == sum(int(str(vm["memory_fault_exits"])) for vm in vms)
    assert (
        number(figure(page, "unclassified"))
        == sum(int(str(vm["unclassified_error_exits"])) for vm in vms)
        > 0
    )


def test_exits_come_first_each_vm_s_with_its_first_and_its_last(visit: Visit, feed: Feed) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    vms = {str(vm["id"]): vm for vm in _vms(visit, feed)}
    from_, to = visit.times()
    expected = []
    for kind in ("memory_fault", "bare_error", "unclassified_error"):
        asked = feed.product.get(
            "rates", metric=f"{kind}_exits", by="vm", from_=from_, to=to, step="10s", coarser="true"
        )
        for series in asked["series"]:
            at = [place for place, count in enumerate(series["counts"]) if count]
            first, last = (_clock(asked["times_ms"][place]) for place in (at[0], at[-1]))
            name = title_of(vms[series["key"]])
            expected.append((last, first, name, kind.replace("_", " "), series["total"]))
    rows = table(page.locator("#exits-by-vm tbody"))
    found = [(row[4][-8:], row[3][-8:], row[0], row[1], number(row[2])) for row in rows]
    assert sorted(found) == sorted(expected)
    assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)
    totals = page.locator("#exit-rates .legend-value").all_inner_texts()
    assert sum(map(number, totals)) == sum(item[4] for item in expected) > 0
    causes = {row[0]: row[5] for row in rows if row[5]}
    assert causes == {title_of(vms[CAUSED]): "No access allowed (PROT_NONE)"}
    # They stand above the chart of faults, and the figure leads there.
    order = page.locator("#exit-rates, #faults").evaluate_all("cards => cards.map(card => card.id)")
    assert order == ["exit-rates", "faults"]
    expect(page.locator('[data-figure="exits"] a')).to_have_attribute("href", "#exit-rates")


def test_where_no_vm_exits_nothing_is_said_of_exits(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}&filter=web-frontend")
    expect(page.locator("#exit-rates")).to_be_hidden()
    expect(page.locator('[data-figure="exits"] a')).to_have_count(0)


def test_the_legend_s_totals_add_up_to_the_faults(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}&by=access")
    totals = page.locator("#faults .legend-value").all_inner_texts()
    assert sum(map(number, totals)) == number(figure(page, "faults"))


def test_a_click_on_a_column_sorts_by_it_and_another_click_turns_it(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    page.get_by_role("button", name="Faults", exact=True).click()
    visit.settle()
    down = list(counts_by_name(page, "faults").values())
    assert down == sorted(down, reverse=True)
    page.get_by_role("button", name="Faults", exact=True).click()
    visit.settle()
    up = list(counts_by_name(page, "faults").values())
    assert up == sorted(up)
    expect(page.locator("th.col-faults")).to_have_attribute("aria-sort", "ascending")


def test_columns_are_sorted_by_key_as_well(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    page.get_by_role("button", name="VM", exact=True).nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("th.col-name")).to_have_attribute("aria-sort", "ascending")
    visit.settle()
    assert names(page)[-1] == "web-frontend-01"
    assert "sort=name" in page.url


def test_the_filter_is_reached_by_slash_and_leaves_what_contains_its_text(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    page.keyboard.press("/")
    page.keyboard.type("firecracker")
    expect(page.locator(".vm-name")).to_have_count(2)
    assert sorted(names(page)) == ["ci-runner-7f3c", "sandbox-9b21"]
    page.keyboard.type(" no such")
    expect(page.get_by_text("No VM matches the filter.")).to_be_visible()


def test_a_vm_that_ended_says_so_and_has_no_rate_now(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}&sort=name")
    row = page.locator("tr.ended")
    expect(row).to_have_count(1)
    expect(row.locator(".life")).to_contain_text("ended")
    expect(row.locator(".col-rate_at_end")).to_have_text("–")


def test_time_that_a_host_was_not_read_is_drawn_as_a_gap(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    expect(page.locator("#faults .gap-label")).to_have_text(["1 of 2 hosts not covered"])
    assert "1 of 2 hosts not covered" in str(page.locator("#faults .chart-frame").get_attribute("aria-label"))


def test_what_another_host_lost_is_not_said_of_the_vms_that_are_chosen(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}&filter=kernel-lab")
    expect(page.locator(".vm-name")).to_have_text(["kernel-lab"])
    expect(page.locator("#faults .mark")).to_have_count(0)
    assert page.locator('[data-figure="faults"]').get_attribute("title") == "In the range, exact"
    page = visit.go(f"/?{visit.fixed()}&filter=hv-fra-01")
    label = page.locator("#faults").get_by_role("button", name="Not exact").get_attribute("aria-label")
    assert "(any VM of its host)" in str(label)


def test_a_chart_is_a_table_too(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed(20)}&by=access")
    page.get_by_role("button", name="Guest faults: show as table").click()
    table = page.get_by_role("region", name="Guest faults as a table")
    expect(table.locator("thead th")).to_have_text(["time", "write", "read", "execute", "events"])
    assert table.locator("tbody tr").count() == 20 * 60 // 5


def test_a_row_opens_its_vm_and_back_returns(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}")
    page.get_by_role("link", name="postgres-primary").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("postgres-primary")
    page.go_back()
    expect(page.locator(".vm-name").first).to_be_visible()


def test_a_line_is_switched_off_in_the_legend(visit: Visit) -> None:
    page = visit.go(f"/?{visit.fixed()}&by=access")
    page.locator("#faults .legend-item", has_text="write").click()
    expect(page.locator("#faults .legend-item", has_text="write")).to_have_attribute("aria-pressed", "false")
    assert "write" not in str(page.locator("#faults .chart-frame").get_attribute("aria-label"))
    assert "hide=write" in page.url
