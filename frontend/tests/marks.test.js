// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { findInexact, inexactLabel, inexactText } from "../public/js/model/inexact.js";
import { groupMarks, lifeMarks, marksOf, marksWithin } from "../public/js/model/marks.js";

/** @param {number[]} values */
const line = (values) => ({ total: values.reduce((sum, value) => sum + value, 0), values });
/** @param {Record<string, number[]>} lost @param {{uncounted?: number[], dropped?: number[]}} [vm] */
const ledger = (lost, vm) => ({
  step_ms: 1000,
  times_ms: [0, 1000, 2000, 3000],
  hosts: [
    {
      host: "h",
      lost: Object.fromEntries(Object.entries(lost).map(([kind, values]) => [kind, line(values)])),
    },
  ],
  vms: vm ? [{ uncounted: line(vm.uncounted ?? []), dropped: line(vm.dropped ?? []) }] : [],
});

test("steps in which faults were not counted are one run, with the number that they lack", () => {
  const [run, ...others] = findInexact(ledger({ keys_full: [0, 3, 1201, 0] }), "all faults");
  assert.deepEqual(others, []);
  assert.deepEqual([run?.from, run?.to, run?.isTooLow], [1000, 3000, true]);
  assert.equal(inexactLabel(run), "not exact: 1\u202f204 lost");
  assert.match(
    inexactText(run, "all faults"),
    /^Not exact .* – .*, lost: 1\u202f204 faults or exits that found the map of counts full$/,
  );
});

test("a record that was lost leaves the counts exact", () => {
  const [run] = findInexact(ledger({ exit_records: [0, 12, 0, 0] }), "all faults");
  assert.equal(run?.isTooLow, false);
  assert.match(inexactText(run, "all faults"), /^Counts are exact .*, lost: 12 exits that were counted/);
});

test("the map that was full for another VM leaves this VM's faults exact, not its exits", () => {
  const found = ledger({ keys_full: [0, 5, 0, 0] }, { uncounted: [0, 0, 0, 0] });
  assert.deepEqual(findInexact(found, "faults"), []);
  const [run] = findInexact(found, "exits");
  assert.match(inexactText(run, "exits"), /\(any VM of its host\)$/);
  const own = findInexact(ledger({ keys_full: [0, 5, 0, 0] }, { uncounted: [0, 2, 0, 0] }), "faults");
  assert.equal(inexactLabel(own[0]), "not exact: 2 lost");
});

test("what a host lost may be of a VM that was not chosen", () => {
  const [run] = findInexact(ledger({ keys_full: [0, 1, 0, 0] }), "some faults");
  assert.match(inexactText(run, "some faults"), /lost: 1 fault or exit that found .* \(any VM of its host\)$/);
});

test("where nothing was lost, nothing is marked", () => {
  assert.deepEqual(findInexact(ledger({ keys_full: [0, 0, 0, 0] }, {}), "faults"), []);
});

/** @param {number} time @param {string} [tone] */
const mark = (time, tone = "") => ({ time, to: time, glyph: "●", tone, text: `at ${time}` });

test("marks that would touch are one mark that counts them and has the worst's tone", () => {
  const groups = groupMarks([mark(0), mark(10, "warn"), mark(23), mark(24), mark(100, "bad")], 24);
  assert.deepEqual(
    groups.map(({ time, glyph, tone, texts }) => [time, glyph, tone, texts.length]),
    [
      [0, "3", "warn", 3],
      [24, "●", "", 1],
      [100, "●", "bad", 1],
    ],
  );
});

test("a hundred events a second stay as few marks as there is room for", () => {
  const marks = Array.from({ length: 100_000 }, (_, at) => mark(at * 10));
  assert.equal(groupMarks(marks, 20_000).length, 50);
});

test("events and steps that are not exact stand in order of time, and hosts are named among many", () => {
  const run = { from: 1000, to: 2000, lost: new Map([["keys_full", 2]]), isTooLow: true };
  const event = { time: 1500, exact: "", host: "h", text: "stopped", glyph: "■", tone: "" };
  const marks = marksOf([event], [run], "all faults");
  assert.deepEqual(
    marks.map(({ glyph }) => glyph),
    ["≈", "■"],
  );
  assert.match(marks[1]?.text ?? "", / h: stopped$/);
  assert.doesNotMatch(marksOf([event], [], "faults")[0]?.text ?? "", / h: /);
  assert.equal(marksWithin(marks, 1900, 2500).length, 1);
  assert.equal(marksWithin(marks, 2000, 2500).length, 0);
});

test("a VM's beginning and end are marks of its chart", () => {
  const vm = { started_at: "2026-07-01T10:00:00Z", ended_at: "2026-07-01T11:00:00Z" };
  assert.deepEqual(
    lifeMarks(vm).map(({ time, text }) => [time, text.slice(9)]),
    [
      [Date.parse(vm.started_at), "the VM started"],
      [Date.parse(vm.ended_at), "the VM ended"],
    ],
  );
  assert.equal(lifeMarks({ ...vm, ended_at: null }).length, 1);
});
