import assert from "node:assert/strict";
import { test } from "node:test";

import { isStale } from "../public/js/pages/freshness.js";

const live = /** @type {any} */ ({ span: 60_000 });
const fixed = /** @type {any} */ ({ span: null });
const covered = [
  { host: "a", from_ms: 0, to_ms: 40_000 },
  { host: "b", from_ms: 0, to_ms: 90_000 },
];

test("what was covered a moment ago is now", () => {
  assert.equal(isStale(covered, { view: live, now: 100_000 }), false);
});

test("what nobody has read for long is not", () => {
  assert.equal(isStale(covered.slice(0, 1), { view: live, now: 100_000 }), true);
  assert.equal(isStale([], { view: live, now: 100_000 }), true);
});

test("the end of a fixed range is never too old", () => {
  assert.equal(isStale(covered, { view: fixed, now: 10 ** 9 }), false);
});
