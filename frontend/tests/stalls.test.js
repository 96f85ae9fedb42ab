// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { secondsText } from "../public/js/base/format.js";
import { heatFigure, heatSummary, heatTable, readHeat, rowsOf } from "../public/js/charts/heat.js";
import { outcomeText } from "../public/js/model/outcomes.js";

const RANGE = { from: 0, to: 4000 };
const HEAT = {
  step_ms: 1000,
  times_ms: [0, 1000, 2000, 3000],
  le_us: [5, 8, 2048],
  counts: [[9, 0, 1], null, [0, 3, 0], [0, 0, 0]],
  untimed: [0, null, 7, 0],
  p50_s: [4.5e-6, null, 7e-6, null],
  p99_s: [1.9e-3, null, 7.9e-6, null],
  max_s: [2e-3, null, 7.9e-6, null],
  running_s: [4e-5, null, 2e-5, 0],
  blocked_s: [2e-3, null, 0, 0],
  coverage: [],
  kept_from_ms: null,
};
const TOKENS = { "series-1": "#2468d8", text: "#000000" };
const draw = (/** @type {string[]} */ hidden = []) =>
  heatFigure({ heat: HEAT, range: RANGE, hidden: new Set(hidden), tokens: TOKENS, width: 400 });

test("times have three digits, and a unit that fits", () => {
  const texts = [null, 0, 2.5e-7, 4.8333e-6, 0.0112, 0.9999, 1.5, 183.4].map((seconds) => secondsText(seconds));
  assert.deepEqual(texts, ["–", "0 s", "250 ns", "4.83 µs", "11.2 ms", "1.00 s", "1.50 s", "183 s"]);
});

test("rows follow one another without a hole, each as high as its octave has it", () => {
  const { edges, places } = rowsOf([5, 8]);
  assert.deepEqual(places.slice(0, 4), [0, -1, -1, 1]);
  assert.deepEqual(edges.slice(0, 5), [4, 5, 6, 7, 8].map(Math.log2));
  assert.equal(edges.length, places.length + 1);
});

test("few rows have room above them, and the longest times have an end to draw", () => {
  assert.equal(rowsOf([0.25]).places.length, 8);
  assert.equal(rowsOf([0.25]).edges[0], Math.log2(0.125));
  const { edges, places } = rowsOf([null]);
  assert.deepEqual(places, [0]);
  assert.ok(edges.every(Number.isFinite));
});

test("a cell is empty where no fault took so long, and where nothing is known", () => {
  const map = /** @type {any} */ (draw().data[0]);
  assert.equal(map.z[0][0], 1);
  assert.deepEqual(map.z.at(-1), [Math.log10(2), null, null, null]);
  assert.deepEqual(map.z[3], [null, null, Math.log10(4), null]);
  assert.deepEqual(map.x, [0, 1000, 2000, 3000, 4000]);
  assert.equal(map.y.length, map.z.length + 1);
});

test("lines break where nothing is known, and one that is switched off is not drawn", () => {
  const [, median] = /** @type {any[]} */ (draw().data);
  assert.deepEqual(median.x, [0, 1000, null, 2000, 3000]);
  assert.deepEqual(median.y.map((/** @type {number | null} */ y) => y && 2 ** y).map((/** @type {number} */ y) => y && Number(y.toFixed(3))), [4.5, 4.5, null, 7, 7]);
  assert.equal(draw(["p50_s", "max_s"]).data.length, 2);
});

test("a step says its times, and one that is not known says so", () => {
  const { entries } = readHeat(HEAT, 2);
  assert.deepEqual(
    entries.map(({ label, value }) => `${label} ${value}`),
    [
      ...["the longest 7.90 µs", "99 % within 7.90 µs", "half of them within 7.00 µs", "asleep 0 s"],
      ...["on a CPU, or waiting for one 20.0 µs", "faults timed 3", "not timed 7"],
    ],
  );
  assert.deepEqual(readHeat(HEAT, 1).entries, []);
  assert.match(readHeat(HEAT, 1).note, /^not known/);
  assert.equal(readHeat({ ...HEAT, kept_from_ms: 2000 }, 1).note, "older than kept");
});

test("the map is a table, too, newest first, and a sentence", () => {
  const { head, rows } = heatTable(HEAT);
  assert.equal(rows.length, 4);
  assert.ok(rows.every((row) => row.length === head.length));
  assert.deepEqual(rows[2]?.slice(1), ["–", "–", "–", "–", "–", "–"]);
  assert.deepEqual(rows[3]?.slice(1), ["4.50 µs", "1.90 ms", "2.00 ms", "2.00 ms", "10", "0"]);
  assert.match(heatSummary(HEAT, RANGE), /The longest took 2.00 ms/);
  assert.match(heatSummary({ ...HEAT, max_s: [null, null, null, null] }, RANGE), /No fault was timed/);
});

test("an outcome is named, and one that the order of events shows is said to be", () => {
  assert.deepEqual(outcomeText({ outcome: "mmio", derived: false, layer: "l1" }), {
    text: "MMIO",
    title: "An access to where no memory is",
  });
  const derived = outcomeText({ outcome: "access_flag", derived: true, layer: "l2" });
  assert.equal(derived.text, "access flag, of its own guest");
  assert.match(derived.title, /By the order of events/);
});
