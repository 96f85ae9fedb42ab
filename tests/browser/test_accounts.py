# SPDX-License-Identifier: Apache-2.0
"""The ledger, the single faults and the collectors' own account: all of it is what the API says."""

import time

import pytest
from playwright.sync_api import Locator, Page, expect

from faultmodel.kinds import CheckState, HostState
from faultmodel.record import Check, Cost, Span
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, make_batch, make_host
from tests.browser.conftest import Visit
from tests.browser.feed import Feed
from tests.browser.reading import number, table
from tests.browser.scene import DROPPED
from tests.browser.scenes import LIVE_HOST

pytestmark = pytest.mark.browser
ONE_DOCUMENT = True

VM, UNRECORDED = "00000000000000a7", "00000000000000b1"


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page of a VM whose faults are recorded as a sample, over the whole scene."""
    return visit.go(f"/vms/{VM}?{visit.fixed()}")


@pytest.fixture
def span(visit: Visit) -> dict[str, str]:
    """The same range, for the API."""
    from_, to = visit.times()
    return {"from_": from_, "to": to}


def _terms(page: Page) -> dict[str, int]:
    terms = page.locator("#ledger .sum-term").all()
    return {
        str(term.get_attribute("data-term")): number(term.locator(".sum-count").inner_text())
        for term in terms
    }


def test_the_ledger_is_the_api_s_and_says_that_it_balances(
    page: Page, feed: Feed, span: dict[str, str]
) -> None:
    (account,) = feed.product.get("ledger", vm=VM, **span)["vms"]
    terms = _terms(page)
    assert terms == {name: account[name]["total"] for name in terms}
    assert terms["seen"] == terms["counted"] + terms["uncounted"]
    assert terms["seen"] == terms["recorded"] + terms["sampled_out"] + terms["dropped"]
    assert terms["dropped"] == DROPPED
    expect(page.locator("#ledger .verdict")).to_have_text("✓ balances")
    expect(page.locator("#ledger")).to_contain_text("Nothing is missing")


def test_the_single_faults_are_those_of_the_api_and_older_ones_are_loaded(
    page: Page, feed: Feed, span: dict[str, str]
) -> None:
    items = feed.product.get(f"vms/{VM}/faults", limit=1000, **span)["items"]
    body = page.locator(".faults tbody")
    shown = table(body)
    expected = [
        [
            str(item["vcpu"]),
            item["access"],
            item["gpa"],
            item["syndrome"]["words"]["rip"],
            str(item["memslot"]),
        ]
        for item in items
    ]
    assert [[row[1], row[2], row[3], row[5], row[7]] for row in shown] == expected[: len(shown)]
    assert [number(row[8]) for row in shown] == [item["weight"] for item in items[: len(shown)]]
    assert {row[6] for row in shown} == {"4 KiB", "2 MiB"}
    page.get_by_role("button", name="Load older faults").click()
    expect(body.locator("tr")).to_have_count(len(shown) + 120)
    assert [row[3] for row in table(body)] == [row[2] for row in expected[: len(shown) + 120]]


def test_the_share_of_the_faults_that_is_recorded_is_said_with_the_command_for_all(
    page: Page, feed: Feed, span: dict[str, str]
) -> None:
    (account,) = feed.product.get("ledger", vm=VM, **span)["vms"]
    records = page.get_by_role("region", name="Single faults")
    recorded = f"{account['recorded']['total']:,}".replace(",", "\u202f")
    expect(records).to_contain_text(f"{recorded} of ")
    expect(records.locator("code").first).to_have_text("kvmfaults-collector record confidential-db --for 60")


def test_a_vm_of_which_nothing_is_recorded_says_so(visit: Visit) -> None:
    page = visit.go(f"/vms/{UNRECORDED}?{visit.fixed()}")
    records = page.get_by_role("region", name="Single faults")
    expect(records).to_contain_text(
        "faults that were seen in this range is recorded. All of them are in the counts."
    )
    expect(records.locator("table")).to_be_hidden()


def _card(page: Page, host: str) -> Locator:
    page.keyboard.press("s")
    return page.locator(f'[data-host="{host}"]')


def test_a_host_says_what_is_recorded_whether_counting_outlives_it_and_where_its_batches_are(
    visit: Visit, feed: Feed
) -> None:
    card = _card(visit.go("/"), "hv-fra-01")
    expect(card).to_contain_text("a sample of the faults is recorded, at most 10 a second and VM")
    expect(card).to_contain_text("outlives the collector: one that is killed or started anew loses nothing")
    hosts = feed.product.get("ledger", host="hv-fra-01", from_="now-1s")["hosts"]
    batches = hosts[0]["batches"]
    expect(card).to_contain_text(f"{batches['shipped']} sent = {batches['stored']} stored + 0 dropped")


def test_a_host_whose_counting_ends_with_its_collector_says_why_and_what_its_kernel_does_not_show(
    visit: Visit,
) -> None:
    card = _card(visit.go("/"), "lab-intel")
    expect(card).to_contain_text("ends with the collector: /sys/fs/bpf is no BPF file system; mount -t bpf")
    expect(card).to_contain_text("EPT misconfigurations, the fast path for MMIO: no fault tracepoint fires")
    expect(card.locator(".probes li", has_text="kvm:kvm_guest_fault")).to_contain_text(
        "this kernel has no such tracepoint"
    )


def _batch_of(now: int, stream: str, **changes: object) -> Batch:
    """A second of a host that nothing faults on."""
    span = Span((now - 2) * NS_PER_S, (now - 1) * NS_PER_S)
    cost = Cost(from_ns=span.from_ns, to_ns=span.to_ns, cpu_ns=15_000_000, resident_bytes=62 * 2**20)
    return make_batch(0, host=make_host(LIVE_HOST, **changes), stream=stream, covered=(span,), costs=[cost])


def test_what_tracing_costs_is_in_the_drawer(visit: Visit, feed: Feed) -> None:
    page = visit.go("/")
    now = int(time.time())
    feed.send(_batch_of(now, "e" * 32, state=HostState.ATTACHED))
    card = _card(page, LIVE_HOST)
    expect(card).to_contain_text("1.50 % of a core")
    expect(card).to_contain_text("62.0 MiB")


def test_a_host_that_waits_says_for_what_and_what_to_do(visit: Visit, feed: Feed) -> None:
    check = Check(
        name="kvm", state=CheckState.MISSING, found="KVM is not; loaded", remedy="modprobe kvm_intel; wait"
    )
    feed.send(_batch_of(int(time.time()), "f" * 32, state=HostState.WAITING, checks=(check,)))
    card = _card(visit.go("/"), LIVE_HOST)
    expect(card).to_contain_text("Waiting for: KVM is not; loaded")
    expect(card).to_contain_text("What to do: modprobe kvm_intel; wait.")
    expect(card).to_contain_text("The collector tries again by itself.")
