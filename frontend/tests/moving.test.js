// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { moved, rangeOf, resumedSpan } from "../public/js/pages/moving.js";

const NOW = 1_800_000_003_456;
const live = (/** @type {number} */ span) => ({ span, from: 0, to: 0 });

test("a usual live range that is paused is resumed as long as it was", () => {
  for (const minutes of [1, 5, 15, 60, 360, 1440]) {
    for (const late of [0, 1, 999, 4321, 59_999]) {
      const { range } = rangeOf(live(minutes * 60_000), NOW + late);
      assert.equal(resumedSpan({ span: null, ...range }), minutes * 60_000);
    }
  }
});

test("a fixed range of another length is resumed with its own", () => {
  assert.equal(resumedSpan({ span: null, from: 0, to: 1_234_000 }), 1_234_000);
  assert.equal(resumedSpan({ span: null, from: 0, to: 20_000 }), 60_000);
});

test("a range is shifted by half its length and scaled about its middle", () => {
  const fixed = { span: null, from: 100_000, to: 200_000 };
  assert.deepEqual(moved(fixed, NOW, -0.5, 1), { span: null, from: 50_000, to: 150_000 });
  assert.deepEqual(moved(fixed, NOW, 0, 2), { span: null, from: 50_000, to: 250_000 });
  assert.deepEqual(moved(live(900_000), NOW, 0, 2), { span: 1_800_000 });
});
