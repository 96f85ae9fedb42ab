# SPDX-License-Identifier: Apache-2.0
"""A real server, filled through its ingest, and Debian's Chromium to look at it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.browser.feed import Feed
from tests.browser.scenes import Scenes

CHROMIUM = Path("/usr/bin/chromium-headless-shell")
"""The same engine without a browser's own windows, which took a third of the CPU time of every page."""
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
expect.set_options(timeout=30_000)
LOADED = "html[data-ready]"
SIZE: ViewportSize = {"width": 1440, "height": 900}
MOVE = """path => {
    document.documentElement.removeAttribute("data-ready");
    const other = location.pathname === "/" ? "/vms/0" : "/";
    const isThere = new URL(path, location.href).pathname === location.pathname;
    for (const step of isThere ? [other, path] : [path]) {
        history.pushState(null, "", step);
        dispatchEvent(new PopStateEvent("popstate"));
    }
}"""
"""Goes to a path within the document, by way of another if need be: what is shown is always made anew."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files first that share a server (``ONLY_LOOKS``): a scene, while it is new, serves the most."""
    places = [place for place, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ours = [items[place] for place in places]
    ours.sort(key=lambda item: not (isinstance(item, pytest.Function) and _only_looks(item.module)))
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _only_looks(module: object) -> bool:
    return bool(getattr(module, "ONLY_LOOKS", False))


@dataclass
class Visit:
    """A page in a window of its own, and what it did that it should not have done.

    ``is_loaded``: its document is that of the server already.
    """

    page: Page
    url: str
    end_s: int
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    is_loaded: bool = False

    def go(self, path: str = "/") -> Page:
        """Open a path and wait until the server's answer, or that there is none, is on the screen."""
        if self.is_loaded:
            self.page.evaluate(MOVE, path)
        else:
            self.page.goto(self.url + path)
        self.page.wait_for_selector(LOADED, state="attached")
        return self.page

    def leave(self) -> None:
        """Leave the document for another test, as if it were new."""
        self.page.unroute_all()
        self.page.mouse.move(0, 0)
        self.page.evaluate(
            """() => {
                document.querySelectorAll("dialog[open]").forEach(dialog => dialog.close());
                document.activeElement?.blur();
                localStorage.clear();
            }"""
        )
        if self.page.viewport_size != SIZE:
            self.page.set_viewport_size(SIZE)
        self.problems.clear()
        self.requests.clear()
        self.is_loaded = True

    def settle(self) -> Page:
        """Wait until what was asked last is answered and on the screen."""
        self.page.wait_for_selector("html:not([data-asking])[data-ready]", state="attached")
        return self.page

    def fixed(self, minutes: int = 40, *, until: int = 0) -> str:
        """The query of the scene's minutes before its end, up to ``until`` minutes before it."""
        return "from={}&to={}".format(*self.times(minutes, until=until))

    def times(self, minutes: int = 40, *, until: int = 0) -> tuple[str, str]:
        """Where the same minutes begin and end, RFC 3339."""
        return _rfc3339(self.end_s - minutes * 60), _rfc3339(self.end_s - until * 60)


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
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """The servers that have taken the whole scene."""
    made = Scenes(lambda: tmp_path_factory.mktemp("scene"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def feed(request: pytest.FixtureRequest, scenes: Scenes) -> Iterator[Feed]:
    """A server that has taken the whole scene, up to this minute.

    For one file's tests: the page shows the last 15 minutes, and on a busy machine all tests take longer.
    Files that say that they only look (``ONLY_LOOKS``) share one for as long as it is new.
    """
    if _only_looks(request.module):
        yield scenes.shared()
        return
    own = scenes.own()
    yield own
    own.product.stop()


@pytest.fixture(scope="package")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """A window whose first page opens the pages that tests have, so that all of them are in one process.

    What it has compiled of the page's scripts it need not compile again: two thirds of a page's CPU time.
    """
    window = browser.new_context(viewport=SIZE, color_scheme="light")
    window.set_default_timeout(40_000)
    window.new_page()
    yield window
    window.close()


@pytest.fixture(scope="module")
def kept() -> Iterator[dict[str, Visit]]:
    """The pages that a file's tests go on with, by server.

    For files that say that their tests leave nothing in a document (``ONE_DOCUMENT``): to load one takes
    four times the CPU time of going to another path in it, as links and the browser's back do.
    """
    visits: dict[str, Visit] = {}
    yield visits
    for visit in visits.values():
        visit.page.close()


@pytest.fixture
def context(window: BrowserContext, kept: dict[str, Visit]) -> Iterator[BrowserContext]:
    """A window without history, storage or cookies."""
    yield window
    for visit in kept.values():
        visit.leave()
    stay = [visit.page for visit in kept.values()]
    for page in window.pages[1:]:
        if page in stay:
            continue
        # Storage is that of an address: an empty page has none.
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear()")
        page.close()
    window.clear_cookies()


@pytest.fixture
def visit_to(
    request: pytest.FixtureRequest, context: BrowserContext, kept: dict[str, Visit]
) -> Callable[[Feed], Visit]:
    """Opens a page on a server, or takes the one that is there."""

    def open_or_take(feed: Feed) -> Visit:
        url = feed.product.url
        visit = kept.get(url) or new_visit(context, url, feed.end_s)
        if getattr(request.module, "ONE_DOCUMENT", False):
            kept[url] = visit
        return visit

    return open_or_take


@pytest.fixture
def visit(visit_to: Callable[[Feed], Visit], feed: Feed) -> Visit:
    """A page on the scene's server."""
    return visit_to(feed)


def new_visit(context: BrowserContext, url: str, end_s: int) -> Visit:
    """Open an empty page whose console and requests are noted."""
    visit = Visit(_new_page(context), url, end_s)
    visit.page.on(
        "console", lambda m: visit.problems.append(m.text) if m.type in ("error", "warning") else None
    )
    visit.page.on("pageerror", lambda error: visit.problems.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    return visit


def _new_page(context: BrowserContext) -> Page:
    """Open a page, by the first one if there is one."""
    if not context.pages:
        return context.new_page()
    with context.expect_page() as opened:
        context.pages[0].evaluate("void open('about:blank')")
    return opened.value
