# SPDX-License-Identifier: Apache-2.0
"""A recording is of its own time: the page leads there, and says where it is shorter than a step."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from playwright.sync_api import BrowserContext, expect

from faultmodel.kinds import HostState
from faultmodel.record import Span
from tests.batches import NS_PER_S, fault_count, ledger_entry, make_batch, make_host, make_vm
from tests.browser.conftest import Visit, new_visit
from tests.browser.feed import Feed
from tests.browser.reading import figure

pytestmark = pytest.mark.browser
ONE_DOCUMENT = True

SECOND = 1_760_000_000
HOST = "night.trace"
LIVE = "hv-stopped"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A server that has a recording of a tenth of a second, and nothing else."""
    feed = Feed(tmp_path_factory.mktemp("recording"), [HOST, LIVE])
    feed.product.start_server(expect_collector=False)
    feed.end_s = SECOND
    start = SECOND * NS_PER_S
    vm = make_vm("00000000000000e1", name="recorded", started_ns=start)
    count = msgspec.structs.replace(fault_count(vm.id, faults=57), bucket_ms=SECOND * 1000)
    entry = msgspec.structs.replace(ledger_entry(vm.id, seen=57), bucket_ms=SECOND * 1000)
    feed.send(
        make_batch(
            0,
            host=make_host(HOST, state=HostState.REPLAY),
            covered=(Span(start, start + NS_PER_S // 10),),
            vms=[vm],
            fault_counts=[count],
            ledger=[entry],
        )
    )
    yield feed
    feed.product.stop()


@pytest.fixture
def looking(visit_to: Callable[[Feed], Visit], server: Feed) -> Visit:
    """A page on that server."""
    return visit_to(server)


def test_a_page_of_now_leads_to_the_recording_and_not_to_a_collector(looking: Visit) -> None:
    page = looking.go("/")
    message = page.locator(".message:visible")
    expect(message).to_contain_text("This server has 1 recording.")
    expect(message).to_contain_text(f"The newest data is of {HOST}, a recording, and ends at 2025-10-09")
    expect(message).not_to_contain_text("doctor")
    message.get_by_role("button", name="Show the newest recording").click()
    expect(page.get_by_role("link", name="recorded")).to_be_visible()
    assert figure(page, "faults") == "57"


def test_beside_a_collector_that_was_stopped_it_leads_there_and_to_no_doctor(
    looking: Visit, server: Feed
) -> None:
    stopped = Span((SECOND - 86_400) * NS_PER_S, (SECOND - 86_390) * NS_PER_S)
    server.send(
        make_batch(0, host=make_host(LIVE, state=HostState.STOPPED), stream="7" * 32, covered=(stopped,))
    )
    page = looking.go("/")
    message = page.locator(".message:visible")
    expect(message).to_contain_text(f"The newest data is of {HOST}, a recording")
    expect(message).to_contain_text(f"The collector of {LIVE} was stopped")
    expect(message).not_to_contain_text("doctor")
    expect(page.locator(".controls .chip")).to_contain_text("collector stopped")


def test_the_page_of_its_vm_leads_there_as_well(looking: Visit) -> None:
    page = looking.go("/vms/00000000000000e1")
    page.get_by_role("button", name="Show the VM’s time").click()
    expect(page.locator('[data-figure="faults"] .figure-value')).to_have_text("57")


def test_the_list_of_hosts_says_when_a_recording_is_and_leads_there(looking: Visit) -> None:
    page = looking.go("/vms/00000000000000e1")
    page.locator(".controls .chip").click()
    card = page.locator(".host", has_text=HOST)
    expect(card).to_contain_text("It ends at 2025-10-09")
    card.get_by_role("button", name=f"Show {HOST}").click()
    expect(page.get_by_role("link", name="recorded")).to_be_visible()


def test_a_recording_that_is_shorter_than_a_step_says_that_it_is_one_bar(looking: Visit) -> None:
    page = looking.go("/?from=2025-10-09T08:50:00Z&to=2025-10-09T09:00:00Z")
    note = page.locator("#faults .chart-notes")
    expect(note).to_contain_text("took 100 ms, less than a step of 2 s")
    note.get_by_role("button", name="Zoom to it").click()
    expect(note).to_contain_text("less than a step of 1 s")
    expect(note.get_by_role("button")).to_have_count(0)


def test_a_server_that_lists_not_all_of_its_recordings_and_findings_says_how_many_more(
    context: BrowserContext, server: Feed
) -> None:
    # In a document of its own, where what asks is another.
    page = new_visit(context, server.product.url, SECOND).go("/")
    page.evaluate(
        """() => {
            const asking = fetch;
            window.fetch = async (...asked) => {
                const answer = await asking(...asked);
                if (!String(asked[0]).includes("/overview")) return answer;
                const body = await answer.json();
                const finding = { code: "renamed", hosts: ["h"], is_current: true, detail: "" };
                const left = { recordings_left_out: 12, findings_left_out: 3, findings: [finding] };
                return Response.json({ ...body, status: { ...body.status, ...left } });
            };
        }"""
    )
    page.locator(".controls .chip").click()
    drawer = page.get_by_role("dialog", name="Collectors")
    expect(drawer.get_by_text("and 12 more recordings")).to_be_visible()
    expect(drawer.get_by_text("and 3 more", exact=True)).to_be_visible()


def test_a_recording_among_hosts_that_were_read_is_pointed_out(looking: Visit, server: Feed) -> None:
    read = Span((SECOND - 120) * NS_PER_S, (SECOND + 120) * NS_PER_S)
    server.send(make_batch(0, host=make_host(LIVE), stream="8" * 32, covered=(read,)))
    page = looking.go("/?from=2025-10-09T08:50:00Z&to=2025-10-09T09:00:00Z")
    note = page.locator("#faults .chart-notes")
    expect(note).to_contain_text(f"The recording {HOST} took 100 ms, less than a step of 2 s")
    note.get_by_role("button", name="Zoom to it").click()
    expect(note.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("link", name="recorded")).to_be_visible()
