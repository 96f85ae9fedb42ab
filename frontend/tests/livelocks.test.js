// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { invalidationText, livelocksSentence, placeText, wordText } from "../public/js/model/livelocks.js";
import { livelockRows } from "../public/js/pages/vm/livelocks-card.js";

const DECODED = {
  ...{ summary: "instruction abort, permission fault", access: /** @type {const} */ ("execute") },
  ...{ flags: [], undefined: [], fields: [], unknown_bits: [] },
};
const LIVELOCK = {
  ...{ vm: "a", vcpu: 3, gpa: /** @type {string | null} */ ("0x48040000"), gva: /** @type {string | null} */ ("0x7f00") },
  ...{ since: "2026-01-31T12:00:00.000000000Z", until: /** @type {string | null} */ (null), faults: 1200 },
  ...{ seen_at: "2026-01-31T12:05:00.000000000Z", pc: /** @type {string | null} */ ("0x401000") },
  ...{ format: /** @type {string | null} */ ("esr_el2"), syndrome: /** @type {string | null} */ ("0x8200000f") },
  ...{ decoded: /** @type {typeof DECODED | null} */ (DECODED), invalidate_seq: /** @type {number | null} */ (null) },
  invalidating: /** @type {boolean | null} */ (null),
};
const OVER = { ...LIVELOCK, vcpu: 1, until: LIVELOCK.seen_at, faults: 400 };

test("an address that only the guest knows is called so, and one that is not shown too", () => {
  assert.equal(placeText(LIVELOCK), "0x48040000");
  assert.equal(placeText({ gpa: null, gva: "0x7f00" }), "0x7f00 (guest-virtual)");
  assert.equal(placeText({ gpa: null, gva: null }), "not shown");
});

test("a word is said in words where it is known, and stays a word where not", () => {
  assert.deepEqual(wordText(LIVELOCK), { text: DECODED.summary, title: "esr_el2 0x8200000f" });
  assert.deepEqual(wordText({ ...LIVELOCK, decoded: null }), { text: "esr_el2 0x8200000f" });
  assert.deepEqual(wordText({ format: null, syndrome: null, decoded: null }), { text: "not shown" });
});

test("what the host does with the memory is not called nothing where it is not shown", () => {
  assert.equal(invalidationText(LIVELOCK).text, "not shown");
  assert.deepEqual(invalidationText({ invalidate_seq: 7, invalidating: true }), {
    ...{ text: "under way", title: "mmu_invalidate_seq 7" },
  });
  assert.equal(invalidationText({ invalidate_seq: null, invalidating: false }).text, "none under way");
});

test("the sentence counts vCPUs that had not gone on, each once", () => {
  assert.equal(livelocksSentence([OVER]), "All of them are over. 400 faults in all.");
  assert.equal(livelocksSentence([LIVELOCK, OVER]), "1 vCPU was still in one when seen last. 1\u202f600 faults in all.");
  const two = [LIVELOCK, { ...LIVELOCK, gpa: "0x1000" }, { ...LIVELOCK, vcpu: 0 }];
  assert.match(livelocksSentence(two), /^2 vCPUs were still in one when seen last\. /);
});

test("a row says how long, and whether it is over", () => {
  const rows = livelockRows([LIVELOCK, OVER]);
  assert.deepEqual(rows.map(({ cells }) => cells[6]?.text), ["5 min, not over", "5 min"]);
  assert.deepEqual(rows.map(({ cells }) => cells[6]?.mark ?? false), [true, false]);
  assert.deepEqual(rows[0]?.cells.slice(0, 5).map(({ text }) => text), ["3", "0x48040000", "0x401000", DECODED.summary, "1\u202f200"]);
});
