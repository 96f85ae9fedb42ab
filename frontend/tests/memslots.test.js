// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { backingText, gpaRangeText, namesByMemslot } from "../public/js/model/memslots.js";
import { countRows, pageRows, pagesText, whyText } from "../public/js/pages/vm/kvm-stats-card.js";
import { memslotRows } from "../public/js/pages/vm/memslots-card.js";

const FROM = "2026-01-31T12:00:00.000000000Z";
const MEMSLOT = {
  ...{ vm: "a", address_space: 0, slot: 0, gpa: "0x0", size: 2 ** 21, flags: /** @type {string[]} */ ([]) },
  ...{ host_address: "0x7f0000000000", backing: "memfd", file: /** @type {string | null} */ ("/memfd:ram"), offset: 0 },
  ...{ guest_memfd: false, permissions: "rw-s", userfaultfd: false, from: FROM, to: /** @type {string | null} */ (null) },
};
const ROM = { ...MEMSLOT, slot: 1, gpa: "0xffffffffffe00000", file: null, backing: "anonymous", flags: ["read_only"] };

test("addresses have all their digits, up to the last of all", () => {
  assert.equal(gpaRangeText(MEMSLOT), "0x0 – 0x1fffff");
  assert.equal(gpaRangeText(ROM), "0xffffffffffe00000 – 0xffffffffffffffff");
});

test("an address has the name of the memslot that it is in", () => {
  const nameOf = namesByMemslot([MEMSLOT, ROM]);
  assert.equal(nameOf("0x1fffff", FROM), "memslot 0: 2 MiB, memfd /memfd:ram");
  assert.equal(nameOf("0x200000", FROM), "");
  assert.equal(nameOf("0xffffffffffffffff", FROM), "memslot 1: 2 MiB, anonymous, read only");
});

test("an address has the name of the memslot that it was in then", () => {
  const before = { ...MEMSLOT, slot: 5, to: "2026-01-31T12:10:00.000000000Z" };
  const nameOf = namesByMemslot([{ ...MEMSLOT, from: "2026-01-31T12:10:00.000000000Z" }, before]);
  assert.match(nameOf("0x1000", "2026-01-31T11:00:00.000000000Z"), /^memslot 5/);
  assert.match(nameOf("0x1000", "2026-01-31T12:20:00.000000000Z"), /^memslot 0/);
});

test("memory that is the same in another address space does not name it twice", () => {
  const nameOf = namesByMemslot([{ ...MEMSLOT, address_space: 1, slot: 9 }, MEMSLOT]);
  assert.match(nameOf("0x0", FROM), /^memslot 0/);
});

test("what is not shown is not called nothing", () => {
  assert.equal(backingText({ backing: null, userfaultfd: null }).text, "not shown");
  assert.equal(backingText({ backing: "none", userfaultfd: false }).text, "none");
  assert.equal(backingText({ backing: "anonymous", userfaultfd: true }).text, "anonymous, by userfaultfd");
});

test("memslots that there are come first, by address; then those that there were, the newest first", () => {
  const gone = (/** @type {number} */ slot, /** @type {string} */ minute) => ({ ...MEMSLOT, slot, to: `2026-01-31T12:${minute}:00Z` });
  const rows = memslotRows([gone(7, "01"), ROM, gone(8, "05"), MEMSLOT]);
  assert.deepEqual(rows.map(({ cells }) => cells[2]?.text), ["0", "1", "8", "7"]);
});

const COUNT = { name: "pf_taken", kvm: 12, ours: /** @type {number | null} */ (12), difference: /** @type {number | null} */ (0) };
const PAGES = {
  at: FROM,
  sizes: [
    { size: /** @type {const} */ ("4k"), mapped: 512, could: 0 },
    { size: /** @type {const} */ ("2m"), mapped: 3, could: 4 },
  ],
  ...{ huge_share: 0.75, huge_could: 1, shadow_pages: null },
};

test("a difference has its sign and its reason", () => {
  const same = { ...COUNT, same_meaning: true, why: null };
  const less = { ...COUNT, name: "pf_fixed", kvm: 10, difference: -2, same_meaning: true, why: "since" };
  const alone = { ...COUNT, name: "pf_emulate", ours: null, difference: null, same_meaning: false, why: "not shown" };
  const stats = { vm: "a", counts: [same, less, alone, { ...alone, name: "pf_mmio" }], splits: 0, pages: null };
  assert.deepEqual(
    countRows(stats).map(({ cells }) => cells.slice(2).map(({ text }) => text)),
    [["12", "0"], ["12", "−2"], ["–", "–"], ["–", "–"]],
  );
  assert.equal(whyText(stats), "pf_fixed: since pf_emulate, pf_mmio: not shown");
});

test("pages are said with their memory, and what could be", () => {
  const stats = { vm: "a", counts: [], splits: 0, pages: PAGES };
  assert.deepEqual(pageRows(stats).map(({ cells }) => cells.map(({ text }) => text)), [
    ["4 KiB", "512", "2 MiB", "0"],
    ["2 MiB", "3", "6 MiB", "4"],
  ]);
  assert.equal(pagesText(stats), "75.0 % of what is mapped is in huge pages; of all memory 100 % could be.");
  const none = { ...stats, pages: { ...PAGES, huge_share: 0, huge_could: 0 } };
  assert.equal(pagesText(none), "0 % of what is mapped is in huge pages. What is behind the memslots gives none.");
  assert.equal(pagesText({ ...stats, pages: null }), "");
});
