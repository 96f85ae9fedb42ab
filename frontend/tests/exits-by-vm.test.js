// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { linesOf, unnamedOf, vmsOf } from "../public/js/model/exits-by-vm.js";

/** @param {string} key @param {number[]} counts @param {(number | null)[]} values */
function series(key, counts, values = counts) {
  return { key, label: `VM ${key}`, counts, values, total: counts.reduce((sum, count) => sum + count, 0) };
}

const TIMES = { times_ms: [0, 10, 20, 30] };
const OTHERS = { count: 3, ...series("others", [1, 0, 0, 0], [1, 0, null, 0]) };
const EXITS = [
  {
    kind: "memory_fault",
    rates: {
      ...TIMES,
      quiet: [0, 0, null, 0],
      series: [series("a", [0, 2, 0, 5], [0, 2, null, 5]), series("b", [0, 1, 0, 0], [null, 1, null, null])],
      others: OTHERS,
    },
  },
  {
    kind: "bare_error",
    rates: { ...TIMES, quiet: [0, 0, null, 0], series: [series("a", [0, 0, 0, 7], [0, 0, null, 7])], others: null },
  },
];

test("a line is the sum of all VMs, with a gap only where nothing was covered", () => {
  const [faults, bare] = linesOf(EXITS);
  assert.deepEqual([faults?.label, faults?.values, faults?.total], ["memory fault", [1, 3, null, 5], 9]);
  assert.deepEqual([bare?.label, bare?.total], ["bare error", 7]);
});

test("each VM has its first and its last step, and who exited last comes first", () => {
  assert.deepEqual(
    vmsOf(EXITS).map(({ vm, kind, count, firstMs, lastMs }) => [vm, kind, count, firstMs, lastMs]),
    [
      ["a", "memory_fault", 7, 10, 30],
      ["a", "bare_error", 7, 30, 30],
      ["b", "memory_fault", 1, 10, 10],
    ],
  );
  assert.deepEqual([unnamedOf(EXITS), unnamedOf([])], [3, 0]);
});
