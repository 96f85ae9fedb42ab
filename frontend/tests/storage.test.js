// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { keptNotes, keptRows } from "../public/js/model/storage.js";

const HOUR_MS = 3_600_000;
const NOW = Date.parse("2026-11-22T21:00:00Z");

/** @param {number | null} bytes @returns {import("../public/js/model/storage.js").StoredSize} */
const size = (bytes) => ({ rows: bytes, bytes, is_about: false, measured: null });
/** @param {number | null} bytes */
const sizes = (bytes) => ({
  faults: size(bytes),
  exits: size(1000),
  ledger: size(0),
  losses: size(0),
  costs: size(0),
});

/** @type {import("../public/js/model/storage.js").Storage} */
const STORAGE = {
  levels: [
    {
      bucket_s: 1,
      age_s: 86_400,
      kept_from: new Date(2026, 10, 22, 19).toISOString(),
      pending: 0,
      pending_from: null,
      sizes: sizes(1_499_000_000),
    },
    { bucket_s: 3600, age_s: null, kept_from: null, pending: 1, pending_from: null, sizes: sizes(null) },
  ],
  exits: { age_s: 180 * 86_400, kept_from: null, size: size(0) },
  faults: { age_s: 3600, kept_from: null, size: size(512) },
  bytes: 3_000_000_000,
  free_bytes: 0,
  free_space: "given_back",
  used_bytes: 2_000_000_000,
  used_is_about: false,
  max_bytes: 9_000_000_000,
};

test("each level says how long it is kept, how far back it reaches and what it takes", () => {
  assert.deepEqual(keptRows(STORAGE), [
    { what: "counts of 1 s", age: "1 d", since: "2026-11-22 19:00", size: "1.50\u2009GB" },
    { what: "counts of 1 h", age: "for ever", since: "all", size: "–" },
    { what: "records of faults", age: "1 h", since: "all", size: "512\u2009B" },
    { what: "records of exits", age: "180 d", since: "all", size: "0\u2009B" },
  ]);
});

test("it is said how much all takes, and may take", () => {
  assert.deepEqual(keptNotes(STORAGE, NOW), [
    "What is stored takes 2.00\u2009GB, and may take 9.00\u2009GB.",
  ]);
  assert.deepEqual(keptNotes({ ...STORAGE, used_is_about: true, max_bytes: null }, NOW), [
    "What is stored takes about 2.00\u2009GB, and may take any number.",
  ]);
});

test("a file that does not get smaller says what to do", () => {
  const [, note] = keptNotes({ ...STORAGE, free_space: "kept_until_compacted" }, NOW);
  assert.match(note ?? "", /3\.00\u2009GB, was made by an earlier release.*retention --compact/);
});

test("levels that are summed up late are named", () => {
  const [first, last] = STORAGE.levels;
  assert.ok(first && last);
  const at = (/** @type {number} */ ago) => ({ ...last, pending_from: new Date(NOW - ago).toISOString() });
  assert.equal(keptNotes({ ...STORAGE, levels: [first, at(HOUR_MS)] }, NOW).length, 1);
  assert.deepEqual(keptNotes({ ...STORAGE, levels: [first, at(3 * HOUR_MS)] }, NOW).slice(1), [
    "Yet to be summed up: counts of 1 h. Answers read shorter ones meanwhile.",
  ]);
});
