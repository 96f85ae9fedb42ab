// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { mergeRates } from "../public/js/model/rates-merge.js";

/** @param {Record<string, number[]>} counts @param {{from: number, others?: number[] | null, version?: string}} about */
function rates(counts, { from, others = null, version = "1" }) {
  const length = Object.values(counts)[0]?.length ?? 0;
  const series = Object.entries(counts).map(([key, of]) => line(key, of));
  return {
    version,
    step_ms: 10,
    times_ms: Array.from({ length }, (_, at) => from + at * 10),
    series,
    others: others && { count: 2, ...line("others", others) },
    quiet: Array.from({ length }, () => 0),
    coverage: [],
  };
}

/** @param {string} key @param {number[]} counts */
function line(key, counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { key, label: key, counts, values: counts.map((count) => count * 100), total };
}

const KNOWN = rates({ a: [1, 2, 3, 4], b: [0, 0, 5, 6] }, { from: 0, others: [7, 8, 9, 10] });

test("new steps follow the old ones, and the last of these may have changed", () => {
  const answer = rates({ a: [5, 6], b: [7, 8] }, { from: 30, others: [11, 12], version: "2" });
  const whole = mergeRates(KNOWN, answer, { from: 10, to: 50 }, true);
  assert.deepEqual(whole?.times_ms, [10, 20, 30, 40]);
  assert.deepEqual(
    whole?.series.map(({ key, counts, total }) => [key, counts, total]),
    [
      ["a", [2, 3, 5, 6], 16],
      ["b", [0, 5, 7, 8], 20],
    ],
  );
  assert.deepEqual([whole?.others?.counts, whole?.others?.total, whole?.version], [[8, 9, 11, 12], 40, "2"]);
});

test("without anything new what is known stays", () => {
  const whole = mergeRates(KNOWN, rates({ a: [], b: [] }, { from: 40, others: [] }), { from: 0, to: 40 }, true);
  assert.deepEqual(whole?.times_ms, [0, 10, 20, 30]);
  assert.equal(whole?.series[0]?.total, 10);
});

test("other series than before, or a hole between, has everything asked for", () => {
  const other = rates({ a: [5], c: [7] }, { from: 40, others: [1] });
  assert.equal(mergeRates(KNOWN, other, { from: 10, to: 50 }, true), null);
  const far = rates({ a: [5], b: [7] }, { from: 60, others: [1] });
  assert.equal(mergeRates(KNOWN, far, { from: 30, to: 70 }, true), null);
});

test("a series that counts for the first time was quiet before, and one that has none left is gone", () => {
  const known = rates({ write: [9, 0, 0] }, { from: 0 });
  const whole = mergeRates(known, rates({ read: [4] }, { from: 30 }), { from: 10, to: 40 }, false);
  assert.deepEqual(
    whole?.series.map(({ key, counts, values }) => [key, counts, values]),
    [["read", [0, 0, 4], [0, 0, 400]]],
  );
});
