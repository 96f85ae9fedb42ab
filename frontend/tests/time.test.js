// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  agoText,
  alignRange,
  durationText,
  exactTimeTexts,
  parseSpan,
  rangeText,
  spanText,
  stepFor,
  timeTicks,
} from "../public/js/base/time.js";

process.env.TZ = "Europe/Berlin";

test("a span is read and written in its largest whole unit", () => {
  assert.equal(parseSpan("15m"), 900_000);
  assert.equal(spanText(900_000), "15m");
  assert.equal(spanText(86_400_000), "1d");
  assert.equal(spanText(90_000), "90s");
});

test("what is no span is null, not an error", () => {
  for (const text of [null, "", "15", "m", "0m", "-5m", "1e3s", "9999999d"])
    assert.equal(parseSpan(text), null);
});

test("lengths are said as people do", () => {
  assert.equal(durationText(102), "102 ms");
  assert.equal(durationText(0), "0 s");
  assert.equal(durationText(45_400), "45 s");
  assert.equal(durationText(3 * 60_000), "3 min");
  assert.equal(durationText(125 * 60_000), "2 h 5 min");
  assert.equal(durationText(50 * 3_600_000), "2 d 2 h");
  assert.equal(agoText(1000, 1400), "just now");
  assert.equal(agoText(0, 180_000), "3 min ago");
});

test("a range never has more than 360 steps", () => {
  for (const span of ["1m", "5m", "15m", "1h", "6h", "24h", "7d", "30d", "360d"]) {
    const length = parseSpan(span) ?? 0;
    assert.ok(length / stepFor(length) <= 360, span);
  }
});

test("live steps keep their borders as time passes", () => {
  assert.deepEqual(alignRange({ from: 1001, to: 8999 }, 5000), { from: 0, to: 10_000 });
  assert.deepEqual(alignRange({ from: 5000, to: 10_000 }, 5000), { from: 5000, to: 10_000 });
});

test("an exact time has all of its nanoseconds, never rounded", () => {
  assert.equal(exactTimeTexts("2026-07-01T10:00:00.999999999Z").join(""), "2026-07-01 12:00:00.999999999");
  assert.equal(exactTimeTexts("2026-07-01T10:00:00.5Z").join(""), "2026-07-01 12:00:00.500000000");
  assert.equal(exactTimeTexts("2026-07-01T10:00:00Z").join(""), "2026-07-01 12:00:00.000000000");
});

test("a range says its day once, and not at all where it is today", () => {
  const from = Date.parse("2026-07-01T10:00:00Z");
  assert.equal(rangeText({ from, to: from + 60_000 }, from), "12:00:00 – 12:01:00");
  const later = from + 5 * 86_400_000;
  assert.equal(rangeText({ from, to: from + 60_000 }, later), "2026-07-01 12:00:00 – 12:01:00");
});

test("ticks of a day sit on whole local hours", () => {
  const from = Date.parse("2026-07-01T10:07:00Z");
  const ticks = timeTicks({ from, to: from + 24 * 3_600_000 }, 12);
  assert.ok(ticks.length >= 6 && ticks.length <= 13);
  for (const tick of ticks) assert.match(tick.text, /^(\d\d:00|07-02)$/);
});
