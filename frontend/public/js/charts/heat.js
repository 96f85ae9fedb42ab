// SPDX-License-Identifier: Apache-2.0
/**
 * Stalls over time as a heat map: the deeper a cell's colour, the more faults of that step took so long. Times are on a
 * logarithmic scale, as buckets are: four between one power of two of a µs and the next.
 */

import { countText, secondsText } from "../base/format.js";
import { clockText, dateText } from "../base/time.js";
import { OLDER, isOlder } from "./gaps.js";
import { axes } from "./frame.js";
import { stepPath, withAlpha } from "./rate.js";

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {import("../model/types.js").StallHeat} Heat */
/** @typedef {import("./rate.js").Tokens} Tokens */
/** @typedef {import("./reading.js").Reading} Reading */

/** Buckets that are 0 to 1 µs long end at quarters; below the first there is nothing to draw. */
const LEAST_US = 0.125;
/** @type {[number, string][]} */
const TICKS_US = [
  [1, "1 µs"],
  [10, "10 µs"],
  [100, "100 µs"],
  [1e3, "1 ms"],
  [1e4, "10 ms"],
  [1e5, "100 ms"],
  [1e6, "1 s"],
  [1e7, "10 s"],
  [1e8, "100 s"],
  [1e9, "1000 s"],
];
/** Rows at least, so that a few that are alike are no wall: some two octaves. */
const LEAST_ROWS = 8;

/**
 * What is drawn over the map, by the fields of the answer.
 * @type {{key: "p50_s" | "p99_s" | "max_s", label: string, colour: string, dash: string}[]}
 */
export const LINES = [
  { key: "p50_s", label: "half of them within", colour: "text", dash: "solid" },
  { key: "p99_s", label: "99 % within", colour: "series-2", dash: "dash" },
  { key: "max_s", label: "the longest", colour: "series-4", dash: "dot" },
];

/**
 * @param {object} view
 * @param {Heat} view.heat
 * @param {Range} view.range
 * @param {ReadonlySet<string>} view.hidden lines that are not drawn
 * @param {Tokens} view.tokens
 * @param {number} view.width of the frame in pixels
 * @returns {import("./rate.js").Figure}
 */
export function heatFigure({ heat, range, hidden, tokens, width }) {
  const { times_ms: times, step_ms: stepMs } = heat;
  const rows = rowsOf(heat.le_us);
  const colour = tokens["series-1"] ?? "#888888";
  const map = {
    type: "heatmap",
    x: [...times, (times.at(-1) ?? 0) + stepMs],
    y: rows.edges,
    z: rows.places.map((place) => times.map((_, at) => shade(heat, at, place))),
    colorscale: [
      [0, withAlpha(colour, 0.16)],
      [1, withAlpha(colour, 0.95)],
    ],
    zmin: 0,
    showscale: false,
    hoverinfo: "skip",
  };
  const lines = LINES.filter(({ key }) => !hidden.has(key)).map(({ key, label, colour: name, dash }) => {
    const path = stepPath(times, stepMs, heat[key].map((seconds) => (seconds === null ? null : height(seconds * 1e6))));
    return {
      type: "scatter",
      mode: "lines",
      name: label,
      ...path,
      line: { color: tokens[name] ?? "#888888", width: 1.8, dash },
      hoverinfo: "skip",
      connectgaps: false,
    };
  });
  return { data: [map, ...lines], layout: heatAxes(range, rows.edges, width) };
}

/**
 * Rows without a hole: the edges between them, from the lowest up, and the place of each among the buckets.
 * @param {readonly (number | null)[]} ends where each bucket ends, in µs
 * @returns {{edges: number[], places: number[]}} -1 for a bucket that no step has
 */
export function rowsOf(ends) {
  const places = new Map(ends.map((end, place) => [end ?? Infinity, place]));
  const all = allEnds();
  const first = all.indexOf(Math.min(...places.keys()));
  const last = Math.max(first + LEAST_ROWS - 1, all.indexOf(Math.max(...places.keys())));
  const rows = all.slice(first, last + 1);
  const start = all[first - 1] ?? LEAST_US;
  // The last bucket of all has no end.
  const tops = rows.map((end, at) => (end === Infinity ? 2 * (rows[at - 1] ?? start) : end));
  return { edges: [start, ...tops].map(height), places: rows.map((end) => places.get(end) ?? -1) };
}

/** Where every bucket ends, in µs: as the API describes it. */
function allEnds() {
  const ends = [0.25, 0.5, 0.75, 1];
  for (let octave = 0; octave < 32; octave += 1)
    for (let quarter = 1; quarter <= 4; quarter += 1) ends.push(2 ** octave * (1 + quarter / 4));
  ends[ends.length - 1] = Infinity;
  return ends;
}

/** @param {Heat} heat @param {number} at @param {number} place */
function shade(heat, at, place) {
  const count = heat.counts[at]?.[place] ?? 0;
  return count > 0 ? Math.log10(1 + count) : null;
}

/** @param {number} us */
const height = (us) => Math.log2(Math.max(LEAST_US, us));

/** @param {Range} range @param {readonly number[]} edges @param {number} width */
function heatAxes(range, edges, width) {
  const ticks = TICKS_US.map(([us, text]) => ({ value: height(us), text }));
  return axes(range, width, { from: edges[0], to: edges.at(-1), ticks });
}

/**
 * Read one step.
 * @param {Heat} heat
 * @param {number} at the step's place
 * @returns {Reading}
 */
export function readHeat(heat, at) {
  const from = heat.times_ms[at] ?? 0;
  const time = heat.step_ms <= 1000 ? dateText(from) : `${dateText(from)} – ${clockText(from + heat.step_ms)}`;
  const counts = heat.counts[at] ?? null;
  if (counts === null) {
    const note = isOlder(from, heat.kept_from_ms) ? OLDER : "not known: not covered, or not measured";
    return { time, entries: [], note, marks: [] };
  }
  const lines = LINES.map(({ key, label, colour, dash }) => ({
    ...{ label, colour, dash, isArea: false },
    value: secondsText(heat[key][at] ?? null),
  }));
  const others = [
    ["asleep", secondsText(heat.blocked_s[at] ?? null)],
    ["on a CPU, or waiting for one", secondsText(heat.running_s[at] ?? null)],
    ["faults timed", countText(sum(counts))],
    ["not timed", countText(heat.untimed[at] ?? 0)],
  ].map(([label = "", value = ""]) => ({ label, colour: "", dash: "", isArea: false, value }));
  return { time, entries: [...lines.reverse(), ...others], note: "", marks: [] };
}

/**
 * The map in words.
 * @param {Heat} heat
 * @param {Range} range
 */
export function heatSummary(heat, range) {
  const span = `How long faults stalled vCPUs from ${dateText(range.from)} to ${dateText(range.to)}.`;
  const longest = Math.max(...heat.max_s.map((seconds) => seconds ?? -1));
  if (longest < 0) return `${span} No fault was timed.`;
  const at = clockText(heat.times_ms[heat.max_s.indexOf(longest)] ?? 0);
  return `${span} The longest took ${secondsText(longest)}, at ${at}.`;
}

/**
 * The map as a table, newest step first.
 * @param {Heat} heat
 */
export function heatTable(heat) {
  const head = ["time", ...LINES.map(({ label }) => label), "asleep", "faults timed", "not timed"];
  const rows = heat.times_ms.map((time, at) => [
    dateText(time),
    ...LINES.map(({ key }) => secondsText(heat[key][at] ?? null)),
    secondsText(heat.blocked_s[at] ?? null),
    countText(sumOrNull(heat.counts[at] ?? null)),
    countText(heat.untimed[at]),
  ]);
  return { head, rows: rows.reverse() };
}

/** @param {readonly number[] | null} counts */
function sumOrNull(counts) {
  return counts === null ? null : sum(counts);
}

/** @param {readonly number[]} counts */
function sum(counts) {
  return counts.reduce((total, count) => total + count, 0);
}
