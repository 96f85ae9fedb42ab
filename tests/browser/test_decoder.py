# SPDX-License-Identifier: Apache-2.0
"""Words decoded on the page: pasted lines, words alone, and what is none."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser
ONLY_LOOKS = True


def _decode(page: Page, text: str) -> None:
    page.locator("#decoder textarea").fill(text)
    page.locator("#decoder").get_by_role("button", name="Decode").click()


def test_lines_and_words_are_decoded_and_what_is_none_is_said(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("button", name="0x: decode a word").click()
    expect(page.get_by_role("dialog", name="Decode")).to_be_visible()

    words = page.locator(".found-word")
    _decode(page, "kvm_exit: reason EPT_VIOLATION rip 0x1 info1 0x181\nerror: kvm run failed Bad address")
    expect(words).to_have_count(2)
    expect(words.nth(0)).to_contain_text("read, page not present, final translation")
    expect(words.nth(0)).to_contain_text("gva_is_valid")
    expect(words.nth(1)).to_contain_text("errno 14 EFAULT: Bad address")

    _decode(page, "x86_64:ept 181")
    expect(words.nth(0)).to_contain_text("read as hexadecimal")
    expect(words.nth(1)).to_contain_text("read as decimal")

    _decode(page, "exit-reason 39")
    expect(words).to_have_count(1)
    expect(words.nth(0)).to_contain_text("exit-reason 39 KVM_EXIT_MEMORY_FAULT")

    _decode(page, "0x96000004")
    expect(words).to_have_count(1)
    expect(words.nth(0)).to_contain_text("data abort, read, translation fault, level 0")

    problem = page.locator("#decoder [role=alert]")
    _decode(page, "hello")
    expect(problem).to_contain_text("No word in this text is known")
    _decode(page, "x86_64:vmx 0x1")
    expect(problem).to_contain_text("no syndrome format")
    _decode(page, "kvm_userspace_exit: reason error (14)\n" * 100)
    expect(words).to_have_count(64)
    expect(problem).to_contain_text("There may be more words in this text")
    _decode(page, "x" * 20_000)
    expect(problem).to_contain_text("larger than 16384 bytes")

    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Decode")).to_be_hidden()
    page.keyboard.press("d")
    page.locator("#decoder textarea").fill("")
    page.keyboard.type("0x92000047")
    page.keyboard.press("Enter")
    expect(words.nth(0)).to_contain_text("data abort, write, translation fault, level 3")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Decode")).to_be_hidden()
    page.keyboard.press("d")
    expect(page.get_by_role("dialog", name="Decode")).to_be_visible()
