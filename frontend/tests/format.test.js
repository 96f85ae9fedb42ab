// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { countText, rateText, shareText, sizeText, valueTicks } from "../public/js/base/format.js";

test("counts are exact, with thin spaces between thousands", () => {
  assert.equal(countText(0), "0");
  assert.equal(countText(1234567), "1\u202f234\u202f567");
  assert.equal(countText(null), "–");
});

test("rates have three digits, and only none at all is zero", () => {
  assert.equal(rateText(0), "0");
  assert.equal(rateText(0.0004), "<0.001");
  assert.equal(rateText(0.0333), "0.033");
  assert.equal(rateText(1.239), "1.24");
  assert.equal(rateText(999.7), "1.00\u2009k");
  assert.equal(rateText(12_345), "12.3\u2009k");
  assert.equal(rateText(null), "–");
});

test("a share is 100 % only where it is the whole, and 0 % only where it is nothing", () => {
  assert.equal(shareText(999_999, 1_000_000), ">99.9 %");
  assert.equal(shareText(1, 1_000_000), "<0.1 %");
  assert.equal(shareText(5, 5), "100 %");
  assert.equal(shareText(0, 5), "0 %");
  assert.equal(shareText(0, 0), "–");
});

test("a size is in the largest unit that it is a whole number of", () => {
  assert.equal(sizeText(4096), "4 KiB");
  assert.equal(sizeText(4097), "4097 B");
  assert.equal(sizeText(2 * 1024 * 1024), "2 MiB");
  assert.equal(sizeText(null), "–");
});

test("value ticks are round, few, and start at zero", () => {
  for (const highest of [0.04, 0.7, 3, 17, 940, 14_200, 3_000_000]) {
    const { top, ticks } = valueTicks(highest);
    assert.ok(top >= highest);
    assert.equal(ticks[0]?.value, 0);
    assert.ok(ticks.length >= 3 && ticks.length <= 6, `${highest}: ${ticks.map((tick) => tick.text)}`);
  }
});

test("an empty chart still has an axis", () => {
  assert.deepEqual(
    valueTicks(0).ticks.map((tick) => tick.text),
    ["0", "1"],
  );
});
