# SPDX-License-Identifier: Apache-2.0
"""What is on the screen, as a person reads it."""

import re
from typing import Any

from playwright.sync_api import Locator, Page

from tests.product import SEEN_S, wait_for


def wait_for_page(page: Page, expression: str, argument: object = None) -> None:
    """Wait until an expression is true in the page.

    Playwright's own ``wait_for_function`` looks again from inside of the page, where the
    Content Security Policy forbids to evaluate text: it fails whenever the first look is too early.
    """
    wait_for(lambda: page.evaluate(expression, argument) or None, SEEN_S, expression)


def number(text: str) -> int:
    """Read a count that has thin spaces between its thousands."""
    return int(re.sub(r"\s", "", text))


def figure(page: Page, key: str) -> str:
    """The value of a key figure."""
    return page.locator(f'[data-figure="{key}"] .figure-value').inner_text()


def table(body: Locator) -> list[list[str]]:
    """The texts of a table's body."""
    rows: list[list[str]] = body.locator("tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    return rows


def names(page: Page) -> list[str]:
    """The VMs of the overview, in order."""
    return page.locator(".vm-name").all_inner_texts()


def counts_by_name(page: Page, column: str) -> dict[str, int]:
    """A count of every VM of the overview."""
    cells = page.locator(f".vms td.col-{column}").all_inner_texts()
    return dict(zip(names(page), map(number, cells), strict=True))


def title_of(vm: dict[str, Any]) -> str:
    """What the page calls a VM."""
    return str(vm["name"] or vm["uuid"] or f"{vm['vmm']} {vm['pid']}")


def bars(section: Locator) -> dict[str, int]:
    """Counts of a breakdown, by flag."""
    found: list[list[str]] = section.locator(".bar").evaluate_all(
        "bars => bars.map(bar => [bar.dataset.flag, bar.querySelector('.bar-count').textContent])"
    )
    return {flag: number(count) for flag, count in found}
