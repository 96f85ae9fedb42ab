// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { findGaps, gapLabel, isUncovered } from "../public/js/charts/gaps.js";
import { bandPath, cumulate, rateFigure, stepPath } from "../public/js/charts/rate.js";
import { chartTable, readStep, summaryText } from "../public/js/charts/reading.js";
import { REST_KEY, biggestKeys, namedLines } from "../public/js/charts/series.js";
import { sparkShape } from "../public/js/charts/spark.js";

const RANGE = { from: 0, to: 100_000 };
const FAR = 1_000_000;

/** @param {string} host @param {number} from @param {number} to */
const span = (host, from, to) => ({ host, from_ms: from, to_ms: to });

test("time that no host was read is a gap", () => {
  const gaps = findGaps([span("a", 0, 40_000), span("a", 60_000, 100_000)], RANGE, FAR);
  assert.deepEqual(gaps, [{ from: 40_000, to: 60_000, missing: 1, hosts: 1 }]);
  assert.equal(gapLabel(gaps[0]), "not covered");
});

test("time that one of two hosts was not read is a gap of that host", () => {
  const gaps = findGaps([span("a", 0, 100_000), span("b", 0, 50_000)], RANGE, FAR);
  assert.deepEqual(gaps, [{ from: 50_000, to: 100_000, missing: 1, hosts: 2 }]);
  assert.equal(gapLabel(gaps[0]), "1 of 2 hosts not covered");
});

test("a recording beside a host leaves no gap where it is silent", () => {
  const recording = { ...span("replay", 20_000, 30_000), is_recording: true };
  assert.deepEqual(findGaps([span("a", 0, 100_000), recording], RANGE, FAR), []);
  assert.equal(findGaps([recording], RANGE, FAR).length, 2);
});

test("without any coverage the whole range is a gap", () => {
  assert.deepEqual(findGaps([], RANGE, FAR), [{ from: 0, to: 100_000, missing: 1, hosts: 1 }]);
  assert.ok(isUncovered([], RANGE));
  assert.ok(!isUncovered([span("a", 99_000, 100_000)], RANGE));
});

test("the newest seconds are on their way, and the future is no gap", () => {
  assert.deepEqual(findGaps([span("a", 0, 97_000)], { from: 0, to: 120_000 }, 100_000), []);
  const silent = findGaps([span("a", 0, 80_000)], { from: 0, to: 120_000 }, 100_000);
  assert.deepEqual(silent, [{ from: 80_000, to: 100_000, missing: 1, hosts: 1 }]);
});

test("a line breaks where nothing is known and keeps its zeros", () => {
  const path = stepPath([0, 10, 20, 30], 10, [5, null, 0, 0]);
  assert.deepEqual(path.x, [0, 10, null, 20, 40]);
  assert.deepEqual(path.y, [5, 5, null, 0, 0]);
});

test("an area is one closed outline for each covered stretch", () => {
  const path = bandPath([0, 10, 20], 10, [0, null, 1], [2, null, 3]);
  assert.deepEqual(path.x, [0, 10, 10, 0, null, 20, 30, 30, 20]);
  assert.deepEqual(path.y, [2, 2, 0, 0, null, 3, 3, 1, 1]);
});

test("a stack is null only where none of its series is known", () => {
  const lines = [{ values: [1, null, null] }, { values: [2, 3, null] }];
  assert.deepEqual(cumulate(lines, 3), [
    [1, 0, null],
    [3, 3, null],
  ]);
});

/** @param {string} label @param {(number | null)[]} values */
const line = (label, values) => ({
  key: label,
  label,
  values,
  colour: "series-1",
  dash: "solid",
  total: values.reduce((sum, value) => sum + (value ?? 0), 0),
});

test("a figure has an area and an edge for each series, and axes that say the whole range", () => {
  const lines = [line("read", [1, 2]), line("write", [3, 4])];
  const tokens = { "series-1": "#112233" };
  const figure = rateFigure({
    times: [0, 10],
    stepMs: 10,
    range: { from: 0, to: 20 },
    lines,
    stacked: true,
    tokens,
    width: 600,
  });
  assert.deepEqual(
    figure.data.map((trace) => trace.fill ?? "line"),
    ["toself", "line", "toself", "line"],
  );
  assert.deepEqual(figure.layout.xaxis.range, [0, 20]);
  assert.ok(figure.layout.yaxis.range[1] >= 6);
});

test("no trace has more than 2000 points, however ragged the values", () => {
  const times = Array.from({ length: 360 }, (_, at) => at * 10);
  const lines = [
    line(
      "a",
      times.map((time) => time % 7),
    ),
    line(
      "b",
      times.map((time) => time % 11),
    ),
  ];
  const figure = rateFigure({
    times,
    stepMs: 10,
    range: { from: 0, to: 3600 },
    lines,
    stacked: true,
    tokens: { "series-1": "#112233" },
    width: 600,
  });
  for (const trace of figure.data) assert.ok(trace.x.length <= 2000);
});

/** @param {string} key @param {number} total @param {(number | null)[]} values */
const series = (key, total, values) => ({ key, label: key, total, values });

test("the biggest series have lines of their own and the rest is added up", () => {
  const all = [series("a", 10, [1, null]), series("b", 30, [3, null]), series("c", 20, [2, 2])];
  const places = new Map(biggestKeys(all, 1).map((key, at) => [key, at]));
  const lines = namedLines(all, null, places, (one) => `VM ${one.key}`);
  assert.deepEqual(
    lines.map((one) => [one.key, one.label, one.total]),
    [
      ["b", "VM b", 30],
      [REST_KEY, "all 2 others", 30],
    ],
  );
  assert.deepEqual(lines[1].values, [3, 2]);
});

test("what the server added up is part of the rest", () => {
  const others = { count: 1200, total: 50, values: [4, null] };
  const places = new Map([["b", 0]]);
  const lines = namedLines([series("b", 30, [3, 3]), series("a", 10, [1, 1])], others, places, ({ key }) => key);
  assert.deepEqual([lines[1].label, lines[1].total, lines[1].values], ["all 1\u202f201 others", 60, [5, 1]]);
  const alone = namedLines([series("b", 30, [3, 3])], others, places, ({ key }) => key);
  assert.deepEqual(alone[1].values, [4, null]);
});

test("one that is left is said as one", () => {
  const [line] = namedLines([{ key: "a", label: "a", counts: [], values: [1], total: 1 }], null, new Map(), ({ label }) => label);
  assert.equal(line?.label, "1 other");
});

test("a spark line breaks at a gap, and a flat zero lies on the ground", () => {
  const shape = sparkShape([0, 4, null, 2], 40, 20);
  assert.equal(shape.line, "M0 19H10V1H20M30 10H40");
  assert.equal(shape.peak, 4);
  assert.equal(sparkShape([0, 0], 10, 20).line, "M0 19H5V19H10");
  assert.equal(sparkShape([null], 10, 20).line, "");
});

const PLOTTED = {
  times: [0, 1000, 2000],
  stepMs: 1000,
  range: { from: 0, to: 3000 },
  lines: [line("read", [1, null, 3]), line("write", [2, null, 5])],
  gaps: [{ from: 1000, to: 2000, missing: 1, hosts: 1 }],
  keptFrom: null,
  marks: [],
  stacked: true,
};

test("a step under the cursor is read with its sum", () => {
  const reading = readStep(PLOTTED, 2);
  assert.deepEqual(
    reading.entries.map((entry) => [entry.label, entry.value]),
    [
      ["write", "5.00"],
      ["read", "3.00"],
      ["all", "8.00"],
    ],
  );
});

test("a step that was not covered says so", () => {
  assert.deepEqual(readStep(PLOTTED, 1).entries, []);
  assert.equal(readStep(PLOTTED, 1).note, "not covered");
});

test("a step without a value that is in no gap says why nothing is known of it", () => {
  const life = { ...PLOTTED, gaps: [], lines: [{ ...PLOTTED.lines[0], values: [null, 1, null] }] };
  assert.equal(readStep(life, 0).note, "the VM was not there yet");
  assert.equal(readStep(life, 2).note, "not yet complete, or the VM had ended");
});

test("what is older than kept is neither a gap nor zero", () => {
  const lines = [{ ...PLOTTED.lines[0], values: [null, null, 1] }];
  const older = { ...PLOTTED, gaps: [], keptFrom: 2000, lines };
  assert.equal(readStep(older, 0).note, "older than kept");
  assert.equal(readStep(older, 1).note, "older than kept");
  assert.equal(readStep(older, 2).note, "");
  assert.match(summaryText("Guest faults per second", older), /Before .* older than kept\./);
});

test("a chart is said in words, gaps and all", () => {
  const text = summaryText("Guest faults per second", PLOTTED);
  assert.match(
    text,
    /^Guest faults per second from .* to .*\. Latest 8\.00, highest 8\.00 at .*\. By read, write\. not covered .* to/,
  );
});

test("a chart's table has the newest step first and a dash where nothing is known", () => {
  const { head, rows } = chartTable(PLOTTED);
  assert.deepEqual(head, ["time", "read", "write"]);
  assert.deepEqual(
    rows.map((row) => row.slice(1)),
    [
      ["3.00", "5.00"],
      ["–", "–"],
      ["1.00", "2.00"],
    ],
  );
});

test("what happened in a step is read with it, is in the chart's words and in its table", () => {
  const mark = { time: 2500, to: 2500, glyph: "▼", tone: "warn", text: "no fault is recorded" };
  const marked = { ...PLOTTED, marks: [mark] };
  assert.deepEqual(readStep(marked, 2).marks, ["no fault is recorded"]);
  assert.deepEqual(readStep(marked, 1).marks, []);
  assert.match(summaryText("Guest faults per second", marked), /no fault is recorded\.$/);
  const { head, rows } = chartTable(marked);
  assert.equal(head.at(-1), "events");
  assert.deepEqual(
    rows.map((row) => row.at(-1)),
    ["no fault is recorded", "", ""],
  );
});
