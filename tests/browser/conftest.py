# SPDX-License-Identifier: Apache-2.0
"""A real server, filled through its ingest, and Debian's Chromium to look at it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.feed import Feed
from tests.browser.scene import history, scene_hosts

CHROMIUM = Path("/usr/bin/chromium-headless-shell")
"""The same engine without a browser's own windows, which took a third of the CPU time of every page."""
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
expect.set_options(timeout=30_000)
LOADED = "html[data-ready]"
_NEW_S = 240.0
LIVE_HOST = "hv-live"
"""A host of which the scene has nothing."""


@dataclass
class Visit:
    """A page in a window of its own, and what it did that it should not have done."""

    page: Page
    url: str
    end_s: int
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def go(self, path: str = "/") -> Page:
        """Open a path and wait until the server's answer, or that there is none, is on the screen."""
        self.page.goto(self.url + path)
        self.page.wait_for_selector(LOADED, state="attached")
        return self.page

    def settle(self) -> Page:
        """Wait until what was asked last is answered and on the screen."""
        self.page.wait_for_selector("html:not([data-asking])[data-ready]", state="attached")
        return self.page

    def fixed(self, minutes: int = 40, *, until: int = 0) -> str:
        """The query of the scene's minutes before its end, up to ``until`` minutes before it."""
        return f"from={_rfc3339(self.end_s - minutes * 60)}&to={_rfc3339(self.end_s - until * 60)}"


def _rfc3339(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for as long as these tests run."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install -y chromium-headless-shell", pytrace=False)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*ARGUMENTS])
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def scenes() -> Iterator[list[Feed]]:
    """The servers that files which only look have shared, oldest first."""
    made: list[Feed] = []
    yield made
    for feed in made:
        feed.product.stop()


@pytest.fixture(scope="module")
def feed(
    request: pytest.FixtureRequest, scenes: list[Feed], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Feed]:
    """A server that has taken the whole scene, up to this minute.

    For one file's tests: the page shows the last 15 minutes, and on a busy machine all tests take longer.
    Files that say that they only look (``ONLY_LOOKS``) share one for as long as it is new.
    """
    if not getattr(request.module, "ONLY_LOOKS", False):
        own = _fill(tmp_path_factory.mktemp("scene"))
        yield own
        own.product.stop()
        return
    if not scenes or time.time() - scenes[-1].end_s > _NEW_S:
        scenes.append(_fill(tmp_path_factory.mktemp("scene")))
    yield scenes[-1]


def _fill(directory: Path) -> Feed:
    feed = Feed(directory, [*(host.name for host in scene_hosts()), LIVE_HOST])
    feed.product.start_server(expect_collector=False)
    feed.end_s = int(time.time()) // 60 * 60
    for batch in history(feed.end_s):
        feed.send(batch)
    return feed


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window without history, storage or cookies."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    context.set_default_timeout(40_000)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, feed: Feed) -> Visit:
    """A page on the scene's server."""
    return new_visit(context, feed.product.url, feed.end_s)


def new_visit(context: BrowserContext, url: str, end_s: int) -> Visit:
    """Open an empty page whose console and requests are noted."""
    visit = Visit(context.new_page(), url, end_s)
    visit.page.on(
        "console", lambda m: visit.problems.append(m.text) if m.type in ("error", "warning") else None
    )
    visit.page.on("pageerror", lambda error: visit.problems.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    return visit
